//! The modules of one crate, read from its files: which file each is in, what it defines, what it imports and what it
//! names. It knows no types: a method that is called names nothing here, the import of its type does.

use std::collections::BTreeMap;
use std::iter;

use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItem, Item, ItemMod, ItemUse, Macro, Path, UseTree, Visibility};

/// Text of each file, by its path in the workspace.
pub(super) type Texts = BTreeMap<String, String>;

pub(super) struct Modules {
    all: Vec<Module>,
}

/// One use of what another file defines.
#[derive(Debug)]
pub(super) struct Use<'a> {
    pub(super) file: &'a str,
    pub(super) line: usize,
    /// The file that defines it: re-exports are followed.
    pub(super) of: &'a str,
    pub(super) name: &'a str,
    /// A type, trait or constant of the module that the user's own lies in, at whatever depth.
    pub(super) vocabulary: bool,
}

struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// With whether it is a function.
    defines: BTreeMap<String, bool>,
    imports: Vec<Import>,
    paths: Vec<Named>,
}

struct Import {
    /// What it is called here; `*` for all of a module.
    name: String,
    path: Named,
    /// Passed on to others: that alone is no use of it.
    exported: bool,
}

#[derive(Clone)]
struct Named {
    path: Vec<String>,
    line: usize,
}

/// No chain of re-exports is that long; a circle of them would have no end.
const HOPS_MAX: usize = 16;

// === impl Modules ===

impl Modules {
    /// The modules of the crate whose root is the file `root`. Test modules are left out.
    ///
    /// # Errors
    /// When a file is not Rust.
    pub(super) fn read(texts: &Texts, root: &str) -> syn::Result<Self> {
        let mut modules = Self { all: Vec::new() };
        if let Some(text) = texts.get(root) {
            let File { items, .. } = syn::parse_file(text)?;
            modules.add(texts, root, &folder_of_children(root), None, &items)?;
        }
        Ok(modules)
    }

    /// Every file that a module is in.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|module| module.file.as_str())
    }

    /// Every use of something that another file defines. A re-export is none by itself: who passes a name on
    /// need not know it.
    pub(super) fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        self.all.iter().enumerate().flat_map(move |(at, module)| {
            let imported = module
                .imports
                .iter()
                .filter(|import| !import.exported && import.name != "*")
                .map(|import| &import.path);
            imported
                .chain(&module.paths)
                .filter_map(move |named| self.used(at, named))
        })
    }

    fn used<'a>(&'a self, at: usize, Named { path, line }: &'a Named) -> Option<Use<'a>> {
        // Who names a module leans on nothing yet; the path to what is in it does.
        let Place::Item(home, name) = self.resolve(at, path, HOPS_MAX)? else {
            return None;
        };
        let (user, definer) = (&self.all[at], &self.all[home]);
        let function = definer.defines.get(name).is_some_and(|function| *function);
        (user.file != definer.file).then_some(Use {
            file: &user.file,
            line: *line,
            of: &definer.file,
            name,
            vocabulary: !function && self.holds(home, at),
        })
    }

    /// Whether the module `outer` is one that `inner` lies in.
    fn holds(&self, outer: usize, inner: usize) -> bool {
        iter::successors(self.all[inner].parent, |module| self.all[*module].parent)
            .any(|module| module == outer)
    }

    fn add(
        &mut self,
        texts: &Texts,
        file: &str,
        folder: &str,
        parent: Option<usize>,
        items: &[Item],
    ) -> syn::Result<usize> {
        let id = self.all.len();
        let mut reader = Reader::default();
        for item in items {
            reader.defines.extend(defined(item));
            reader.visit_item(item);
        }
        let Reader {
            defines,
            imports,
            paths,
            children,
        } = reader;
        self.all.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            defines,
            imports,
            paths,
        });
        for child in children {
            let name = child.ident.to_string();
            let inner = format!("{folder}/{name}");
            let added = match &child.content {
                Some((_, items)) => Some(self.add(texts, file, &inner, Some(id), items)?),
                None => match file_of(texts, &child, &inner) {
                    Some(file) => {
                        let File { items, .. } = syn::parse_file(&texts[&file])?;
                        Some(self.add(texts, &file, &inner, Some(id), &items)?)
                    }
                    None => None,
                },
            };
            if let Some(added) = added {
                self.all[id].children.insert(name, added);
            }
        }
        Ok(id)
    }

    fn resolve<'a>(&'a self, from: usize, path: &'a [String], hops: usize) -> Option<Place<'a>> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.all[from].parent?,
            _ => return self.look_up(from, path, hops),
        };
        while let Some((_, further)) = rest.split_first().filter(|(next, _)| *next == "super") {
            at = self.all[at].parent?;
            rest = further;
        }
        self.walk(at, rest, hops)
    }

    fn walk<'a>(&'a self, at: usize, rest: &'a [String], hops: usize) -> Option<Place<'a>> {
        match rest.first() {
            None => Some(Place::Module(at)),
            Some(name) => self
                .look_up(at, rest, hops)
                // Made by a macro, or else rustc would complain.
                .or(Some(Place::Item(at, name))),
        }
    }

    /// Follows a path from what `at` itself defines, holds or imports. `None`: it leads out of the crate.
    fn look_up<'a>(&'a self, at: usize, path: &'a [String], hops: usize) -> Option<Place<'a>> {
        let hops = hops.checked_sub(1)?;
        let module = &self.all[at];
        let (name, rest) = path.split_first()?;
        let child = module.children.get(name);
        // Modules and functions may share a name; what goes on is a module.
        if let Some(child) = child.filter(|_| !rest.is_empty()) {
            return self.walk(*child, rest, hops);
        }
        if module.defines.contains_key(name) {
            return Some(Place::Item(at, name));
        }
        let named = module.imports.iter().filter(|import| import.name == *name);
        for import in named {
            match self.resolve(at, &import.path.path, hops) {
                Some(Place::Module(inner)) => return self.walk(inner, rest, hops),
                Some(found) => return Some(found),
                None => {}
            }
        }
        if let Some(child) = child {
            return self.walk(*child, rest, hops);
        }
        let all = module.imports.iter().filter(|import| import.name == "*");
        all.filter_map(|import| self.resolve(at, &import.path.path, hops))
            .find_map(|place| match place {
                Place::Module(inner) if inner != at => self.look_up(inner, path, hops),
                _ => None,
            })
    }
}

enum Place<'a> {
    Module(usize),
    Item(usize, &'a str),
}

/// Gathers what one module's items say.
#[derive(Default)]
struct Reader {
    defines: BTreeMap<String, bool>,
    imports: Vec<Import>,
    paths: Vec<Named>,
    children: Vec<ItemMod>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let for_tests = match item {
            ImplItem::Fn(item) => item.attrs.iter().any(is_for_tests),
            _ => false,
        };
        if !for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.children.push(item.clone());
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let exported = !matches!(item.vis, Visibility::Inherited);
        flatten(&item.tree, &mut Vec::new(), exported, &mut self.imports);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if let (None, Some(first)) = (path.leading_colon, path.segments.first()) {
            self.paths.push(Named {
                path: path
                    .segments
                    .iter()
                    .map(|segment| segment.ident.to_string())
                    .collect(),
                line: first.ident.span().start().line,
            });
        }
        visit::visit_path(self, path);
    }

    /// What a macro gets is tokens; paths are looked for in them.
    fn visit_macro(&mut self, call: &'ast Macro) {
        scan(call.tokens.clone(), &mut self.paths);
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn scan(tokens: proc_macro2::TokenStream, paths: &mut Vec<Named>) {
    use proc_macro2::TokenTree;

    let mut path: Option<Named> = None;
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                match &mut path {
                    Some(path) if colons == 2 => path.path.push(name),
                    _ => {
                        paths.extend(path.replace(Named {
                            path: vec![name],
                            line: ident.span().start().line,
                        }));
                    }
                }
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                scan(group.stream(), paths);
                paths.extend(path.take());
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => paths.extend(path.take()),
        }
    }
    paths.extend(path);
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, exported: bool, imports: &mut Vec<Import>) {
    let mut push = |name: String, path: &[String], line| {
        imports.push(Import {
            name,
            path: Named {
                path: path.to_vec(),
                line,
            },
            exported,
        });
    };
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, exported, imports);
            path.pop();
        }
        UseTree::Name(tree) if tree.ident == "self" => {
            let name = path.last().cloned().unwrap_or_default();
            push(name, path, tree.ident.span().start().line);
        }
        UseTree::Name(tree) => {
            let name = tree.ident.to_string();
            path.push(name.clone());
            push(name, path, tree.ident.span().start().line);
            path.pop();
        }
        UseTree::Rename(tree) => {
            let own = tree.ident == "self";
            if !own {
                path.push(tree.ident.to_string());
            }
            push(
                tree.rename.to_string(),
                path,
                tree.ident.span().start().line,
            );
            if !own {
                path.pop();
            }
        }
        UseTree::Glob(tree) => push("*".to_owned(), path, tree.star_token.spans[0].start().line),
        UseTree::Group(tree) => {
            for tree in &tree.items {
                flatten(tree, path, exported, imports);
            }
        }
    }
}

/// The name that an item gives, and whether it is a function's.
fn defined(item: &Item) -> Option<(String, bool)> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some((ident.to_string(), matches!(item, Item::Fn(_))))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, also with more conditions.
fn is_for_tests(attribute: &Attribute) -> bool {
    let mut found = false;
    if attribute.path().is_ident("cfg") {
        // What else may be in there has no meaning here.
        let _rest = attribute.parse_nested_meta(|meta| {
            let all = meta.path.is_ident("all");
            found |= meta.path.is_ident("test");
            if all {
                meta.parse_nested_meta(|meta| {
                    found |= meta.path.is_ident("test");
                    Ok(())
                })?;
            }
            Ok(())
        });
    }
    found
}

/// The file of a module whose children lie in `folder`.
fn file_of(texts: &Texts, module: &ItemMod, folder: &str) -> Option<String> {
    let given = module
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("path"));
    // Only tests are put elsewhere, and those are not read.
    let names = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
    names
        .into_iter()
        .find(|name| !given && texts.contains_key(name))
}

fn folder_of_children(root: &str) -> String {
    root.rsplit_once('/')
        .map(|(folder, _)| folder.to_owned())
        .unwrap_or_default()
}
