//! Wiping what SQLite leaves of a deleted text.
//!
//! `secure_delete` overwrites a row in place, and a page that has become free. It does not overwrite what is left when
//! rows move: SQLite rebuilds a page that gets too full or too empty together with its neighbours, and the part that
//! then lies between its index and its rows keeps its old bytes (`rebuildPage` in `btree.c`): a second copy of a
//! neighbour's text, which deleting that text would not reach. So the transaction that changes a text also overwrites
//! the unused parts of the pages around it. Such a copy is never far: pages are rebuilt three at a time, and keep their
//! order.
//!
//! The format is that of sqlite.org/fileformat2.html, section 1.6; the table `sqlite_dbpage` reads and writes pages,
//! through the cache and the log like any other change.

use rusqlite::{Connection, OptionalExtension};

/// Pages on either side of the row's own. A rebuild takes two of them, and may happen twice in one statement, each time
/// leaving up to two more.
const AROUND: usize = 8;

/// The first byte of a page: an inner node or a leaf of a table.
const NODE: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// Header sizes: a node's is four bytes longer.
const LEAF_HEAD: usize = 8;
const NODE_HEAD: usize = 12;

const ROOT: &str = "select rootpage from sqlite_schema where type = 'table' and name = ?1";
const READ: &str = "select data from sqlite_dbpage where pgno = ?1";
const WRITE: &str = "update sqlite_dbpage set data = ?2 where pgno = ?1";

/// Overwrites the unused parts of the pages around a row of this table, which exists or did until just now.
pub(super) fn around(db: &Connection, table: &str, row: i64) -> rusqlite::Result<()> {
    let root: i64 = db.prepare_cached(ROOT)?.query_row([table], |root| root.get(0))?;
    let Some(way) = Way::down_to(db, root, row)? else { return Ok(()) };
    way.leaf.wipe(db)?;
    for forward in [false, true] {
        let mut way = way.clone();
        for _ in 0..AROUND {
            if !way.go_on(db, forward)? {
                break;
            }
            way.leaf.wipe(db)?;
        }
    }
    Ok(())
}

/// A page of a table.
#[derive(Clone)]
struct Page {
    number: i64,
    bytes: Vec<u8>,
}

/// The nodes from the root down to a leaf, each with the index of the child taken.
#[derive(Clone)]
struct Way {
    nodes: Vec<(Page, usize)>,
    leaf: Page,
}

impl Way {
    /// Descends to the leaf where the row is or would be.
    fn down_to(db: &Connection, root: i64, row: i64) -> rusqlite::Result<Option<Self>> {
        Self::down(db, Vec::new(), root, |page| page.child_for(row))
    }

    /// Descends from a page, choosing a child at each node. Returns `None` if the pages are not as expected.
    fn down(
        db: &Connection,
        mut nodes: Vec<(Page, usize)>,
        from: i64,
        choose: impl Fn(&Page) -> usize,
    ) -> rusqlite::Result<Option<Self>> {
        let mut number = from;
        loop {
            let Some(page) = Page::read(db, number)? else { return Ok(None) };
            match page.bytes.first() {
                Some(&LEAF) => return Ok(Some(Self { nodes, leaf: page })),
                Some(&NODE) => {
                    let at = choose(&page);
                    let Some(child) = page.child(at) else { return Ok(None) };
                    number = child;
                    nodes.push((page, at));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Moves to the next leaf, or the previous one. Returns false if there is none.
    fn go_on(&mut self, db: &Connection, forward: bool) -> rusqlite::Result<bool> {
        let mut nodes = self.nodes.clone();
        while let Some((node, at)) = nodes.pop() {
            let next = if forward { at + 1 } else { at.wrapping_sub(1) };
            let Some(child) = node.child(next) else { continue };
            nodes.push((node, next));
            let edge = |page: &Page| if forward { 0 } else { page.cells() };
            let Some(way) = Self::down(db, nodes, child, edge)? else { return Ok(false) };
            *self = way;
            return Ok(true);
        }
        Ok(false)
    }
}

impl Page {
    fn read(db: &Connection, number: i64) -> rusqlite::Result<Option<Self>> {
        let bytes = db.prepare_cached(READ)?.query_row([number], |row| row.get(0)).optional()?;
        Ok(bytes.map(|bytes| Self { number, bytes }))
    }

    fn number_at(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// Returns the number of rows in a leaf; for a node, one less than its children.
    fn cells(&self) -> usize {
        self.number_at(3).unwrap_or_default()
    }

    /// Returns the page number of a node's child: the last is in the header, the others precede their largest key.
    fn child(&self, at: usize) -> Option<i64> {
        let place = match at.cmp(&self.cells()) {
            std::cmp::Ordering::Less => self.number_at(NODE_HEAD + 2 * at)?,
            std::cmp::Ordering::Equal => 8,
            std::cmp::Ordering::Greater => return None,
        };
        let bytes = self.bytes.get(place..place + 4)?;
        Some(i64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// Finds the child of a node for this row: the first whose largest key is not smaller.
    fn child_for(&self, row: i64) -> usize {
        let (mut low, mut high) = (0, self.cells());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.key(middle) {
                Some(key) if key < row => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Returns the largest key of a node's child.
    fn key(&self, at: usize) -> Option<i64> {
        let place = self.number_at(NODE_HEAD + 2 * at)? + 4;
        let mut key = 0_u64;
        for (nth, byte) in self.bytes.get(place..)?.iter().take(9).enumerate() {
            if nth == 8 {
                key = key << 8 | u64::from(*byte);
                break;
            }
            key = key << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(key.cast_signed())
    }

    /// Overwrites what is unused in a leaf: between its index and its first row, and where rows were.
    fn wipe(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut wiped = self.bytes.clone();
        let first_row = match self.number_at(5) {
            Some(0) => 1 << 16,
            Some(at) => at,
            None => return Ok(()),
        };
        if let Some(gap) = wiped.get_mut(LEAF_HEAD + 2 * self.cells()..first_row) {
            gap.fill(0);
        }
        let mut free = self.number_at(1).unwrap_or_default();
        while free != 0 {
            // Each block begins with the offset of the next and its own length; they are in order.
            let (Some(next), Some(length)) = (self.number_at(free), self.number_at(free + 2)) else { break };
            if let Some(rest) = wiped.get_mut(free + 4..free + length) {
                rest.fill(0);
            }
            free = if next > free { next } else { 0 };
        }
        if wiped != self.bytes {
            db.prepare_cached(WRITE)?.execute((self.number, wiped))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Texts of many lengths, each beginning with a unique word.
    struct Texts {
        chance: fastrand::Rng,
        count: usize,
    }

    impl Texts {
        fn next(&mut self) -> (String, String) {
            self.count += 1;
            let word = format!("<{}>", self.count);
            let length = [0, 5, 50, 200, 700, 3_000][self.chance.usize(..6)];
            (format!("{word}{}", "x".repeat(length)), word)
        }
    }

    /// Sends, edits and deletes texts. Returns how many of the deleted ones are still in the file.
    fn left(seed: u64, wipes: bool) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let db = Connection::open(&file).unwrap();
        db.execute_batch(
            "pragma page_size = 2048; pragma secure_delete = on; pragma synchronous = off;
             create table messages (seq integer, data text, rev integer); begin;",
        )
        .unwrap();
        let mut texts = Texts { chance: fastrand::Rng::with_seed(seed), count: 0 };
        let (mut words, mut gone) = (Vec::new(), Vec::new());
        for _ in 0..500 {
            let (text, word) = texts.next();
            db.execute("insert into messages values (1, ?1, 1)", [text]).unwrap();
            words.push((db.last_insert_rowid(), word));
            let at = texts.chance.usize(..words.len());
            let (row, word) = &mut words[at];
            let (text, new) = if texts.chance.bool() { texts.next() } else { Default::default() };
            let change = "update messages set data = ?2, rev = rev + 1 where rowid = ?1";
            db.execute(change, (*row, text)).unwrap();
            if wipes {
                around(&db, "messages", *row).unwrap();
            }
            gone.push(std::mem::replace(word, new));
        }
        db.execute_batch("commit").unwrap();
        let whole: String = db.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let mut stored = db.prepare("select data from messages order by rowid").unwrap();
        let stored: Vec<String> =
            stored.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(stored.iter().zip(&words).all(|(text, (_, word))| text.starts_with(word.as_str())));

        let bytes = std::fs::read(&file).unwrap();
        let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'<');
        let found: HashSet<&[u8]> =
            begins.filter_map(|(at, _)| bytes[at..].split_inclusive(|byte| *byte == b'>').next()).collect();
        gone.iter().filter(|word| found.contains(word.as_bytes())).count()
    }

    #[test]
    fn nothing_is_left_of_a_text_that_had_been_moved_before_it_went() {
        let all = |wipes| (0..24).map(|seed| left(seed, wipes)).sum::<usize>();
        assert!(all(false) > 0, "SQLite leaves nothing by itself: then this is not needed");
        assert_eq!(all(true), 0);
    }
}
