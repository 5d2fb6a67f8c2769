//! What a pipeline does with it: it announces the change, makes it, and asks for the verdict. And a finwatch that dies in the
//! middle.
