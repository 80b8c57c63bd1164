//! One file: what it imports, and how long it and its functions are.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Ident, ItemMod, ItemUse, Macro, Meta, Signature, UseTree, Visibility};

use super::Name;

/// What one file says.
#[derive(Default)]
pub(super) struct Source {
    /// Lines outside tests.
    pub(super) lines: usize,
    /// Functions and methods, and their lines.
    pub(super) functions: Vec<(String, usize)>,
    /// What `use` brings in: the name it has here, and the path.
    pub(super) uses: Vec<(String, Vec<String>)>,
    /// The same of `pub use`.
    pub(super) passed_on: Vec<(String, Vec<String>)>,
    /// Paths in the code, of at least two parts.
    pub(super) paths: Vec<Vec<String>>,
    /// Every name in the code.
    pub(super) names: BTreeSet<String>,
    /// Modules in other files that are only for tests.
    pub(super) tests: Vec<Name>,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not Rust.
    pub(super) fn parse(name: &Name, text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut reader = Reader { name, source: Self { lines: text.lines().count(), ..Self::default() } };
        reader.visit_file(&file);
        Ok(reader.source)
    }
}

struct Reader<'a> {
    name: &'a Name,
    source: Source,
}

impl Reader<'_> {
    /// Notes how long a function is.
    fn function(&mut self, signature: &Signature, block: &Block) {
        self.source.functions.push((signature.ident.to_string(), lines(signature.span(), block.span())));
    }

    /// Whether an item is only for tests. If so, its lines do not count.
    fn is_test(&mut self, attributes: &[Attribute], whole: Span) -> bool {
        let is_test = attributes.iter().any(is_for_tests);
        if is_test {
            self.source.lines = self.source.lines.saturating_sub(lines(whole, whole));
        }
        is_test
    }
}

/// Counts the lines from the beginning of one to the end of another.
fn lines(from: Span, to: Span) -> usize {
    to.end().line + 1 - from.start().line
}

/// Whether an attribute leaves an item to tests.
fn is_for_tests(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        meta => meta.path().segments.last().is_some_and(|last| last.ident == "test"),
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Const(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !self.is_test(attributes, item.span()) {
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(ItemMod { ident, content: None, .. }) = item {
            let test = self.name.iter().cloned().chain([ident.to_string()]).collect();
            self.source.tests.push(test);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let uses = match item.vis {
            Visibility::Inherited => &mut self.source.uses,
            _ => &mut self.source.passed_on,
        };
        leaves(&item.tree, &mut Vec::new(), uses);
        visit::visit_item_use(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !self.is_test(&item.attrs, item.span()) {
            self.function(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {} // `pub(in …)` imports nothing

    fn visit_ident(&mut self, name: &'ast Ident) {
        self.source.names.insert(name.to_string());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.source.paths.extend(Some(parts).filter(|parts| parts.len() > 1));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, found: &'ast Macro) {
        paths_in(found.tokens.clone(), &mut self.source.paths);
        self.source.names.extend(self.source.paths.iter().flatten().cloned());
        visit::visit_macro(self, found);
    }
}

/// Lists what a `use` brings in.
fn leaves(tree: &UseTree, before: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    let with = |last: &Ident| before.iter().cloned().chain([last.to_string()]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, found);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, found)),
        UseTree::Glob(_) => found.push((String::new(), before.clone())),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((before.last().cloned().unwrap_or_default(), before.clone()));
        }
        UseTree::Name(name) => found.push((name.ident.to_string(), with(&name.ident))),
        UseTree::Rename(rename) if rename.ident == "self" => {
            found.push((rename.rename.to_string(), before.clone()));
        }
        UseTree::Rename(rename) => found.push((rename.rename.to_string(), with(&rename.ident))),
    }
}

/// Finds paths among the tokens of a macro.
fn paths_in(tokens: TokenStream, found: &mut Vec<Vec<String>>) {
    let (mut path, mut colons) = (Vec::<String>::new(), 0);
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    found.push(std::mem::take(&mut path));
                }
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
            other => {
                found.push(std::mem::take(&mut path));
                colons = 0;
                if let TokenTree::Group(group) = other {
                    paths_in(group.stream(), found);
                }
            }
        }
    }
    found.push(path);
    found.retain(|path| path.len() > 1);
}
