//! Which file imports which, and where that goes round in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::{Name, shown};

/// How many `pub use` in a row are followed.
const DEEPEST: usize = 8;

/// The imports of a crate: for each file the files that it imports, and one item of each.
pub(super) struct Graph<'a> {
    sources: &'a BTreeMap<Name, Source>,
    imports: BTreeMap<&'a Name, BTreeMap<&'a Name, String>>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(sources: &'a BTreeMap<Name, Source>) -> Self {
        let mut graph = Self { sources, imports: BTreeMap::new() };
        for (name, source) in sources {
            let imports = graph.imports_of(name, source);
            graph.imports.insert(name, imports);
        }
        graph
    }

    fn imports_of(&self, name: &Name, source: &Source) -> BTreeMap<&'a Name, String> {
        let named: BTreeMap<&str, &Vec<String>> =
            source.uses.iter().chain(&source.passed_on).map(|(name, path)| (name.as_str(), path)).collect();
        let used = source.uses.iter().map(|(_, path)| path.clone());
        let written = source.paths.iter().map(|path| match named.get(path[0].as_str()) {
            Some(whole) => whole.iter().chain(&path[1..]).cloned().collect(),
            None => path.clone(),
        });
        let found = used.chain(written).filter_map(|path| self.absolute(name, &path));
        let found = found.map(|path| self.resolve(path)).filter(|(from, _)| *from != name);
        found.collect()
    }

    /// Returns the path from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, here: &Name, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Name::new(),
            "self" => here.clone(),
            "super" => here.split_last()?.1.to_vec(),
            child => {
                let inner: Name = here.iter().cloned().chain([child.to_owned()]).collect();
                return self.sources.contains_key(&inner).then(|| [here, path].concat());
            }
        };
        let ups = rest.iter().take_while(|part| *part == "super").count();
        base.truncate(base.len().checked_sub(ups)?);
        Some([&base, &rest[ups..]].concat())
    }

    /// Returns the file that an item is in, and the item: through `pub use` to where it is.
    fn resolve(&self, mut path: Vec<String>) -> (&'a Name, String) {
        for _ in 0..DEEPEST {
            let (name, source) = self.file_of(&path);
            let Some(item) = path.get(name.len()) else { return (name, "itself".to_owned()) };
            let onwards = source.passed_on.iter().find(|(known, _)| known == item);
            match onwards.and_then(|(_, onwards)| self.absolute(name, onwards)) {
                Some(onwards) => path = [&onwards, &path[name.len() + 1..]].concat(),
                None => return (name, item.clone()),
            }
        }
        (self.file_of(&path).0, path.join("::"))
    }

    /// Returns the file that a path leads into.
    fn file_of(&self, path: &[String]) -> (&'a Name, &'a Source) {
        let found = (0..=path.len()).rev().find_map(|depth| self.sources.get_key_value(&path[..depth]));
        found.expect("a crate has a root")
    }

    /// Returns the imports of each circle: from, to, and an item. Files that can reach one another form one circle.
    pub(super) fn circles(&self) -> Vec<Vec<(String, String, &str)>> {
        let reach: BTreeMap<_, _> = self.imports.keys().map(|name| (*name, self.reachable(name))).collect();
        let circle_of = |name: &&Name| -> BTreeSet<&Name> {
            reach[*name].iter().filter(|other| reach[*other].contains(*name)).copied().collect()
        };
        let circles: BTreeSet<_> = self.imports.keys().map(circle_of).filter(|c| !c.is_empty()).collect();
        let links = |circle: &BTreeSet<&Name>| {
            let inner = circle.iter().flat_map(|from| {
                let to = self.imports[*from].iter().filter(|(to, _)| circle.contains(**to));
                to.map(|(to, item)| (shown(from), shown(to), item.as_str()))
            });
            inner.collect()
        };
        circles.iter().map(links).collect()
    }

    /// Returns every file that is imported from here, directly or not.
    fn reachable(&self, from: &Name) -> BTreeSet<&'a Name> {
        let mut found = BTreeSet::new();
        let mut left: Vec<_> = self.imports[from].keys().copied().collect();
        while let Some(next) = left.pop() {
            if found.insert(next) {
                left.extend(self.imports[next].keys());
            }
        }
        found
    }
}
