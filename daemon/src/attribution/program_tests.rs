//! Command lines as `/proc` shows them on people's servers, and what these people call their programs.

use super::*;

fn names(table: &[(&str, &[&str], &str)]) {
    for (comm, words, wanted) in table {
        assert_eq!(name(comm, words), *wanted, "{comm}: {words:?}");
    }
}

#[test]
fn a_worker_of_multiprocessing_works_for_its_parent() {
    let spawned = "python3 -B -c|from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=7, pipe_handle=15)|--multiprocessing-fork";
    let words = |line: &'static str| -> Vec<&'static str> {
        let (before, after) = line.split_once('|').unwrap_or((line, ""));
        let code = after.split('|').filter(|word| !word.is_empty());
        before.split(' ').chain(code).collect()
    };
    assert!(works_for_parent(&words(spawned)));
    for line in [
        "python3 -c|import shop; shop.serve()",
        "python3 /srv/shop.py -c|shop.conf",
        "uvicorn --workers 2 shop:app",
    ] {
        assert!(!works_for_parent(&words(line)), "{line}");
    }
}

#[test]
fn scripts_modules_and_code_of_python() {
    names(&[
        ("python3", &["python3", "server.py"], "server.py"),
        (
            "python3.11",
            &[
                "/usr/bin/python3.11",
                "-u",
                "/srv/shop/checkout.py",
                "--port",
                "80",
            ],
            "checkout.py",
        ),
        (
            "python",
            &["/app/venv/bin/python", "-m", "http.server", "8000"],
            "http.server",
        ),
        (
            "python3",
            &["python3", "-Im", "uvicorn", "app:app"],
            "uvicorn",
        ),
        (
            "python3",
            &["python3", "-W", "ignore", "-Xdev", "app.py"],
            "app.py",
        ),
        (
            "python3",
            &["python3", "-c", "import shop; shop.run()"],
            "python3",
        ),
        (
            "python3",
            &["python3", "-uc", "import shop; shop.run()"],
            "python3",
        ),
        ("python3", &["python3", "-"], "python3"),
        ("python3", &["python3"], "python3"),
        ("python3", &["python3", "/srv/shop/__main__.py"], "shop"),
        ("python3", &["python3", "--", "-odd.py"], "-odd.py"),
        // By `#!`: the kernel has the beginning of the script's name.
        (
            "checkout-servic",
            &["/usr/bin/python3", "/usr/local/bin/checkout-service", "80"],
            "checkout-service",
        ),
        (
            "uvicorn",
            &["/usr/bin/python3", "/usr/bin/uvicorn", "app:app"],
            "uvicorn",
        ),
        // A link to python by a name that was chosen, with code on its command line, and with a script.
        (
            "commitsrv",
            &["/tmp/cases/commitsrv", "-c", "import socket"],
            "commitsrv",
        ),
        ("commitsrv", &["commitsrv", "/srv/x.py"], "commitsrv"),
    ]);
}

#[test]
fn archives_classes_and_modules_of_java() {
    names(&[
        ("java", &["java", "-jar", "shop.jar"], "shop.jar"),
        (
            "java",
            &[
                "/usr/bin/java",
                "-Xmx2g",
                "-Dx=y",
                "-jar",
                "/opt/shop-1.4.2.jar",
                "--server.port=80",
            ],
            "shop.jar",
        ),
        (
            "java",
            &["java", "-jar", "shop-api-2.0.1-SNAPSHOT-exec.jar"],
            "shop-api.jar",
        ),
        ("java", &["java", "-jar", "worker-2.jar"], "worker-2.jar"),
        ("java", &["java", "-jar", "app-3f9a2c1d.jar"], "app.jar"),
        (
            "java",
            &["java", "-cp", "/a.jar:/b.jar", "com.acme.shop.Main", "80"],
            "com.acme.shop.Main",
        ),
        (
            "java",
            &[
                "java",
                "--add-opens",
                "java.base/java.lang=ALL-UNNAMED",
                "-classpath",
                "x",
                "a.B",
            ],
            "a.B",
        ),
        (
            "java",
            &["java", "-p", "mods", "-m", "shop.web/com.acme.Web"],
            "com.acme.Web",
        ),
        ("java", &["java", "--module=shop.web"], "shop.web"),
        ("java", &["java", "/srv/Hello.java"], "Hello.java"),
        (
            "java",
            &[
                "java",
                "-classpath",
                "/b.jar",
                "org.apache.catalina.startup.Bootstrap",
                "start",
            ],
            "tomcat",
        ),
        ("java", &["java", "@/etc/shop/arguments"], "java"),
    ]);
}

#[test]
fn node_and_its_titles() {
    names(&[
        ("node", &["node", "server.js"], "server.js"),
        (
            "MainThread",
            &[
                "/usr/bin/node",
                "--max-old-space-size=4096",
                "/srv/api/dist/main.js",
            ],
            "main.js",
        ),
        (
            "node-MainThread",
            &["node", "-r", "dotenv/config", "./api.mjs", "80"],
            "api.mjs",
        ),
        (
            "node",
            &["node", "/app/node_modules/.bin/next", "start"],
            "next",
        ),
        ("MainThread", &["node", "-e", "require('http')"], "node"),
        ("node", &["node"], "node"),
        ("node /srv/shop.", &["node /srv/shop.js"], "shop.js"),
        (
            "PM2 v5.4.3: God",
            &["PM2 v5.4.3: God Daemon (/root/.pm2)"],
            "pm2",
        ),
        ("next-server (v1", &["next-server (v14.2.3)"], "next-server"),
        (
            "deno",
            &["deno", "run", "--allow-net", "main.ts"],
            "main.ts",
        ),
        ("bun", &["bun", "run", "index.ts"], "index.ts"),
    ]);
}

#[test]
fn others_that_run_something() {
    names(&[
        (
            "perl",
            &["perl", "-w", "-I", "lib", "/srv/shop.pl"],
            "shop.pl",
        ),
        ("perl", &["perl", "-MIO::Socket", "-e", "print 1"], "perl"),
        ("ruby", &["ruby", "-rbundler/setup", "app.rb"], "app.rb"),
        (
            "rails",
            &["ruby", "bin/rails", "server", "-p", "80"],
            "rails",
        ),
        (
            "php",
            &["php", "-S", "0.0.0.0:80", "-t", "public", "router.php"],
            "router.php",
        ),
        ("php", &["php8.2", "artisan", "serve"], "artisan"),
        ("php", &["php", "-S", "0.0.0.0:80"], "php"),
        (
            "dotnet",
            &["dotnet", "Shop.Web.dll", "--urls", "http://*:80"],
            "Shop.Web.dll",
        ),
        ("dotnet", &["dotnet", "run", "--project", "Shop"], "dotnet"),
        (
            "bash",
            &["bash", "-euo", "pipefail", "/srv/listen.sh"],
            "listen.sh",
        ),
        ("sh", &["sh", "-c", "nc -l 80"], "sh"),
        (
            "beam.smp",
            &[
                "/usr/lib/erlang/erts-14/bin/beam.smp",
                "-W",
                "w",
                "--",
                "-root",
                "/usr/lib/erlang",
                "-sname",
                "rabbit@web1",
            ],
            "rabbit",
        ),
        (
            "beam.smp",
            &["beam.smp", "--", "-root", "/usr/lib/erlang"],
            "beam.smp",
        ),
    ]);
}

#[test]
fn servers_that_name_their_processes_after_something_else() {
    names(&[
        (
            "gunicorn",
            &["/usr/bin/python3", "/usr/bin/gunicorn", "app:app"],
            "gunicorn",
        ),
        (
            "gunicorn: maste",
            &["gunicorn: master [app:app]"],
            "gunicorn",
        ),
        (
            "puma 6.4.2 (tcp",
            &["puma 6.4.2 (tcp://0.0.0.0:9292) [shop]"],
            "puma",
        ),
        (
            "unicorn master ",
            &["unicorn master -c /etc/unicorn.rb"],
            "unicorn",
        ),
        (
            "cache-main",
            &["/usr/sbin/varnishd", "-a", ":6081", "-n", "edge"],
            "edge",
        ),
        (
            "cache-main",
            &["/usr/sbin/varnishd", "-n", "/var/lib/varnish/edge"],
            "edge",
        ),
        (
            "cache-main",
            &["varnishd", "-n", "/tmp/lab/v1", "-a", ":6081"],
            "varnishd",
        ),
        ("varnishd", &["varnishd", "-a", ":6081"], "varnishd"),
        (
            "nginx",
            &["nginx: master process nginx -c /etc/a.conf"],
            "nginx",
        ),
        ("nginx", &["nginx", "-c", "/etc/a.conf"], "nginx"),
        (
            "sshd",
            &["sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"],
            "sshd",
        ),
        (
            "postgres",
            &["/usr/lib/postgresql/15/bin/postgres", "-D", "/data"],
            "postgres",
        ),
        (
            "php-fpm8.2",
            &["php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)"],
            "php-fpm8.2",
        ),
        (
            "redis-server",
            &["/usr/bin/redis-server *:6379"],
            "redis-server",
        ),
    ]);
}

#[test]
fn a_name_that_the_kernel_cut_is_whole_again() {
    names(&[
        (
            "checkout-servic",
            &["/opt/checkout-service", "--port=80"],
            "checkout-service",
        ),
        (
            "Plex Media Serv",
            &["/usr/lib/plex/Plex Media Server"],
            "Plex Media Server",
        ),
        // Whoever calls itself otherwise is not named after what anybody may write there.
        ("prometheus", &["anything", "--x"], "prometheus"),
        ("prometheus", &[], "prometheus"),
    ]);
}

#[test]
fn names_are_those_of_the_next_start_too() {
    for script in [
        "/tmp/tmpk3x9_q2a.py",
        "/tmp/tmp.Ab3dE6gH9k",
        "run-24718.py",
        "job-20260102.py",
        "0a1b2c3d4e5f.py",
    ] {
        let script_or_nothing = name("python3", &["python3", script]);
        assert!(
            ["python3", "run.py", "job.py"].contains(&script_or_nothing.as_str()),
            "{script}: {script_or_nothing}"
        );
    }
    for script in ["server-8080.py", "tmpfs.py", "feedback.py", "s3.py"] {
        assert_eq!(name("python3", &["python3", script]), script);
    }
    assert_eq!(name("sh", &["sh", "a\u{1b}[31m.sh"]), "a?[31m.sh");
    assert_eq!(name("java", &["java", &"é".repeat(200)]).len(), MAX_BYTES);
    assert_eq!(name("", &[]), "unknown");
}

#[test]
fn of_a_process_that_is_gone_the_kernels_name_must_do() {
    for (comm, wanted) in [
        ("cache-main", "varnishd"),
        ("PM2 v5.4.3: God", "pm2"),
        ("gunicorn: maste", "gunicorn"),
        ("MainThread", "node"),
        ("python3", "python3"),
        ("Plex Media Serv", "Plex Media Serv"),
    ] {
        assert_eq!(by_comm(comm), wanted);
    }
    assert!(may_be_better("python3.12") && may_be_better("cache-main"));
    assert!(!may_be_better("curl") && !may_be_better("nginx"));
}
