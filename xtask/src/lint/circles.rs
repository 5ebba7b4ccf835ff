//! Circles between the modules of one crate.
//!
//! A module here is a file. File A depends on file B when code of A, tests left out, names an item
//! that B defines. A name that passes through `use` declarations and re-exports counts for the file
//! that defines it, so that a `pub use` in a `mod.rs` is no dependency by itself. What macros of
//! other crates expand to is not seen; names within a macro call's arguments are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Files that depend on each other, and by which names.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle {
    pub files: Vec<PathBuf>,
    /// (from, to, names), for each pair of files that are part of the circle.
    pub arrows: Vec<(PathBuf, PathBuf, Vec<String>)>,
}

/// A name that a `use` declaration brings in, and the path that it stands for.
type Uses = BTreeMap<String, Vec<String>>;

/// A module: a file, or an inline module within one.
#[derive(Default)]
struct Module {
    file: PathBuf,
    /// Child modules, by name.
    children: BTreeMap<String, Vec<String>>,
    /// Child modules that only tests compile.
    tests: Vec<Vec<String>>,
    /// Items defined here.
    items: BTreeSet<String>,
    uses: Uses,
    /// Paths of `use m::*`.
    globs: Vec<Vec<String>>,
    /// Paths named by code here, as written.
    named: BTreeSet<Vec<String>>,
}

/// The crate's modules by path from its root; the root's is empty.
type Modules = BTreeMap<Vec<String>, Module>;

/// The circles of a crate, given the texts of its sources by path relative to `src`, `lib.rs` or
/// `main.rs` among them.
///
/// # Errors
///
/// A source that is no Rust, with its name.
pub fn find(sources: &BTreeMap<PathBuf, String>) -> Result<Vec<Circle>, String> {
    let mut modules = Modules::new();
    for (file, text) in sources {
        let parsed = syn::parse_file(text).map_err(|e| format!("{}: {e}", file.display()))?;
        add(&mut modules, &module_path(file), file, &parsed.items);
    }
    let tests: Vec<Vec<String>> = modules.values().flat_map(|m| m.tests.clone()).collect();
    modules.retain(|path, _| !tests.iter().any(|t| path.starts_with(t)));
    let mut arrows: BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>> = BTreeMap::new();
    for (path, module) in &modules {
        for named in &module.named {
            if let Some((to, name)) = definer(&modules, path, named, 0)
                && to != module.file
            {
                arrows.entry(module.file.clone()).or_default().entry(to).or_default().insert(name);
            }
        }
    }
    Ok(circles(&arrows))
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` and `main.rs` are the root.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> =
        file.with_extension("").iter().map(|s| s.to_string_lossy().into_owned()).collect();
    match path.last().map(String::as_str) {
        Some("mod") => drop(path.pop()),
        Some("lib" | "main") if path.len() == 1 => path.clear(),
        _ => {}
    }
    path
}

fn for_tests(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|a| match &a.meta {
        syn::Meta::List(l) if l.path.is_ident("cfg") => {
            l.tokens.to_string().split(|c: char| !c.is_alphanumeric()).any(|w| w == "test")
        }
        m => m.path().is_ident("test"),
    })
}

fn add(modules: &mut Modules, path: &[String], file: &Path, items: &[syn::Item]) {
    let mut m = Module { file: file.to_owned(), ..Module::default() };
    let mut inline = Vec::new();
    for item in items {
        let (name, attrs) = match item {
            syn::Item::Const(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Enum(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Fn(i) => (Some(&i.sig.ident), &i.attrs),
            syn::Item::Macro(i) => (i.ident.as_ref(), &i.attrs),
            syn::Item::Static(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Struct(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Trait(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Type(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Union(i) => (Some(&i.ident), &i.attrs),
            syn::Item::Impl(i) => (None, &i.attrs),
            syn::Item::Use(i) => {
                if !for_tests(&i.attrs) {
                    let public = matches!(i.vis, syn::Visibility::Public(_));
                    uses(&i.tree, &mut Vec::new(), public, &mut m);
                }
                continue;
            }
            syn::Item::Mod(i) => {
                let child: Vec<String> =
                    path.iter().cloned().chain([i.ident.to_string()]).collect();
                match &i.content {
                    _ if for_tests(&i.attrs) => m.tests.push(child),
                    Some((_, items)) => {
                        inline.push((child.clone(), items));
                        m.children.insert(i.ident.to_string(), child);
                    }
                    None => drop(m.children.insert(i.ident.to_string(), child)),
                }
                continue;
            }
            _ => continue,
        };
        if !for_tests(attrs) {
            m.items.extend(name.map(ToString::to_string));
            Names(&mut m.named).visit_item(item);
        }
    }
    modules.insert(path.to_vec(), m);
    for (child, items) in inline {
        add(modules, &child, file, items);
    }
}

/// Notes what a `use` declaration brings in. One that is private is a mention by itself, because
/// traits are used without being named again.
fn uses(tree: &syn::UseTree, prefix: &mut Vec<String>, public: bool, m: &mut Module) {
    let mut bring = |name: String, path: Vec<String>| {
        if !public {
            m.named.insert(path.clone());
        }
        m.uses.insert(name, path);
    };
    let with = |last: String| prefix.iter().cloned().chain([last]).collect::<Vec<_>>();
    match tree {
        syn::UseTree::Path(p) => {
            prefix.push(p.ident.to_string());
            uses(&p.tree, prefix, public, m);
            prefix.pop();
        }
        syn::UseTree::Name(n) if n.ident == "self" => {
            bring(prefix.last().cloned().unwrap_or_default(), prefix.clone());
        }
        syn::UseTree::Name(n) => bring(n.ident.to_string(), with(n.ident.to_string())),
        syn::UseTree::Rename(r) => bring(r.rename.to_string(), with(r.ident.to_string())),
        syn::UseTree::Glob(_) => m.globs.push(prefix.clone()),
        syn::UseTree::Group(g) => {
            for t in &g.items {
                uses(t, prefix, public, m);
            }
        }
    }
}

/// Collects the paths that an item's code names.
struct Names<'a>(&'a mut BTreeSet<Vec<String>>);

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_path(&mut self, p: &'ast syn::Path) {
        self.0.insert(p.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, p);
    }

    fn visit_macro(&mut self, m: &'ast syn::Macro) {
        self.visit_path(&m.path);
        self.tokens(m.tokens.clone());
    }

    fn visit_impl_item_fn(&mut self, f: &'ast syn::ImplItemFn) {
        if !for_tests(&f.attrs) {
            visit::visit_impl_item_fn(self, f);
        }
    }
}

impl Names<'_> {
    /// Paths among tokens whose grammar is a macro's own.
    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree;
        let mut path: Vec<String> = Vec::new();
        // Colons since the last identifier: two join it with the next.
        let mut colons = 0;
        for t in tokens {
            match t {
                TokenTree::Ident(i) => {
                    if colons != 2 && !path.is_empty() {
                        self.0.insert(std::mem::take(&mut path));
                    }
                    colons = 0;
                    path.push(i.to_string());
                }
                TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                TokenTree::Group(g) => {
                    self.tokens(g.stream());
                    colons = 0;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
            }
        }
        if !path.is_empty() {
            self.0.insert(path);
        }
    }
}

/// The file that defines what `named` stands for in module `at`, and the item's name there; `None`
/// for items of other crates and local names.
fn definer(
    modules: &Modules,
    at: &[String],
    named: &[String],
    depth: usize,
) -> Option<(PathBuf, String)> {
    // A circle of re-exports defines nothing.
    const DEEPEST: usize = 16;
    if depth == DEEPEST {
        return None;
    }
    let mut here = at.to_vec();
    let mut rest = named;
    match rest.first().map(String::as_str) {
        Some("crate") => {
            here.clear();
            rest = &rest[1..];
        }
        Some("self") => rest = &rest[1..],
        Some("super") => {
            while rest.first().is_some_and(|s| s == "super") {
                here.pop()?;
                rest = &rest[1..];
            }
        }
        _ => {}
    }
    let start = here.clone();
    loop {
        let module = modules.get(&here)?;
        let Some(name) = rest.first() else {
            // The path names a module: nothing of it is used yet.
            return None;
        };
        if let Some(child) = module.children.get(name) {
            here = child.clone();
            rest = &rest[1..];
            continue;
        }
        if module.items.contains(name) {
            return Some((module.file.clone(), name.clone()));
        }
        let joined = |path: &Vec<String>| -> Vec<String> {
            path.iter().chain(&rest[1..]).cloned().collect()
        };
        if let Some(path) = module.uses.get(name) {
            let path = joined(path);
            // `use a::b` beside `mod a` would lead to itself.
            if path == named && here == start {
                return None;
            }
            return definer(modules, &here, &path, depth + 1);
        }
        return module.globs.iter().find_map(|glob| {
            let path: Vec<String> = glob.iter().chain(rest).cloned().collect();
            definer(modules, &here, &path, depth + 1)
        });
    }
}

/// Strongly connected components of more than one file, by Kosaraju's two passes.
fn circles(arrows: &BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>) -> Vec<Circle> {
    let next = |f: &PathBuf| arrows.get(f).into_iter().flat_map(|m| m.keys());
    let reach = |from: &PathBuf| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(f) = todo.pop() {
            for n in next(f) {
                if seen.insert(n) {
                    todo.push(n);
                }
            }
        }
        seen
    };
    let reachable: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        arrows.keys().map(|f| (f, reach(f))).collect();
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    for (file, reached) in &reachable {
        if done.contains(file) || !reached.contains(*file) {
            continue;
        }
        let mutual = |other: &&&PathBuf| reachable.get(**other).is_some_and(|r| r.contains(*file));
        let files: Vec<PathBuf> = reached.iter().filter(mutual).map(|f| (*f).clone()).collect();
        done.extend(reached.iter().filter(mutual).copied());
        let arrows = files
            .iter()
            .flat_map(|f| arrows.get(f).into_iter().flatten().map(move |(to, n)| (f, to, n)))
            .filter(|(_, to, _)| files.contains(to))
            .map(|(f, to, n)| (f.clone(), to.clone(), n.iter().cloned().collect()))
            .collect();
        found.push(Circle { files, arrows });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
        files.iter().map(|(f, t)| (f.into(), (*t).to_owned())).collect()
    }

    fn files(circles: &[Circle]) -> Vec<Vec<&str>> {
        circles.iter().map(|c| c.files.iter().filter_map(|f| f.to_str()).collect()).collect()
    }

    #[test]
    fn reexports_are_attributed_to_the_defining_file() {
        let s = sources(&[
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "use crate::B; pub struct A(B);"),
            ("b.rs", "pub struct B;"),
        ]);
        assert_eq!(find(&s).unwrap(), [], "`crate::B` does not exist, so nothing is tied by it");

        let s = sources(&[
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
            ("a.rs", "use crate::B; pub struct A(B);"),
            ("b.rs", "pub struct B; impl B { fn f(&self) -> Option<super::A> { None } }"),
        ]);
        let found = find(&s).unwrap();
        assert_eq!(files(&found), [["a.rs", "b.rs"]]);
        assert_eq!(found[0].arrows.len(), 2, "{found:?}");
    }

    #[test]
    fn tests_and_plain_facades_make_no_circle() {
        let s = sources(&[
            ("lib.rs", "pub mod a; pub use a::Inner; pub struct Outer;"),
            ("a/mod.rs", "mod c; pub use c::Inner;"),
            (
                "a/c.rs",
                "pub struct Inner(crate::Outer);
                 #[cfg(test)] mod tests { use super::*; use crate::Inner; }",
            ),
        ]);
        assert_eq!(find(&s).unwrap(), []);
    }

    #[test]
    fn macros_and_inline_modules_are_looked_into() {
        let s = sources(&[
            ("main.rs", "mod a; mod b;"),
            ("a.rs", "pub fn f() { println!(\"{}\", crate::b::deep::g(1)); }"),
            ("b.rs", "pub mod deep { pub fn g(n: u32) -> u32 { super::super::a::f(); n } }"),
        ]);
        assert_eq!(files(&find(&s).unwrap()), [["a.rs", "b.rs"]]);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_left_out() {
        let s = sources(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "pub struct A; #[cfg(test)] mod tests;"),
            ("a/tests/mod.rs", "mod more; pub fn f() { more::g(); }"),
            ("a/tests/more.rs", "pub fn g() { super::f(); let _ = crate::a::A; }"),
        ]);
        assert_eq!(find(&s).unwrap(), []);
    }

    #[test]
    fn a_circle_of_three_is_one_circle() {
        let s = sources(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use super::b::B; pub struct A(B);"),
            ("b.rs", "use super::c::C; pub struct B(Box<C>);"),
            ("c.rs", "use super::a::A; pub struct C(Option<Box<A>>);"),
        ]);
        assert_eq!(files(&find(&s).unwrap()), [["a.rs", "b.rs", "c.rs"]]);
    }
}
