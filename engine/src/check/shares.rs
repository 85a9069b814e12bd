//! Reference counts: how many versions share each content.
//!
//! No index leads from content to its versions; keeping one would cost every PUT. So all versions are added up once, in slots by the
//! first bytes of the content's id, each weighted by the rest of the id. Where a slot's sum is that of its contents' own counts, all of
//! them are right. Only the contents of other slots are counted one by one, on one consistent state, so memory stays small.

use std::collections::{BTreeSet, HashMap};

use futures::FutureExt;

use super::{Checker, Fix, Problem};
use crate::Result;
use crate::metadata::Tx;
use crate::metadata::check::{self, VersionPlace};
use crate::metadata::repair::RowFix;
use crate::metadata::scan::go_on;
use crate::names::ContentId;

const SLOTS: usize = 1 << 16;
/// Contents that are counted one by one at a time.
const COUNTED_MAX: usize = 200_000;

/// Sums by slot.
struct Sums(Vec<u64>);

fn slot(id: ContentId) -> u16 {
    u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]])
}

/// Ids are random, so sums of weights agree by chance as good as never. Odd, so that no count of one content vanishes in the sum.
fn weight(id: ContentId) -> u64 {
    let mut bytes = [0_u8; 8];
    bytes.copy_from_slice(&id.as_bytes()[8..]);
    u64::from_le_bytes(bytes) | 1
}

impl Sums {
    fn add(&mut self, id: ContentId, count: i64) {
        let sum = &mut self.0[usize::from(slot(id))];
        *sum = sum.wrapping_add(weight(id).wrapping_mul(count.cast_unsigned()));
    }
}

/// A content that was counted: what it says, and what is so.
struct Counted {
    id: ContentId,
    kept: i64,
    counted: i64,
}

impl Checker {
    pub(super) async fn shares(&mut self) -> Result<()> {
        let mut slots = self.differing_slots().await?;
        while !slots.is_empty() {
            let wanted = slots.clone();
            let (wrong, rest) = self.read(|tx| async move { count(tx, wanted).await }.boxed()).await?;
            slots = rest;
            for Counted { id, kept, counted } in wrong {
                let subject = format!("content {id}");
                if counted == 0 {
                    // Nothing can begin to refer to it again, for copies are made of versions.
                    let detail = format!("it says that {kept} versions share it");
                    self.found(Problem::ContentUnused, subject, detail, Fix::PutContentAside(id));
                } else {
                    let detail = format!("{counted} versions share it, it says {kept}");
                    let fix = Fix::Row(RowFix::AddRefs { content: id, by: counted - kept });
                    self.found(Problem::SharesWrong, subject, detail, fix);
                }
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Slots whose sums differ: because something is wrong there, or because it changed meanwhile.
    async fn differing_slots(&mut self) -> Result<BTreeSet<u16>> {
        let mut sums = Sums(vec![0; SLOTS]);
        for lost in [false, true] {
            let mut after = VersionPlace::first();
            loop {
                let from = after.clone();
                let rows = self.read(|tx| async move { check::shares(tx, &from, lost).await }.boxed()).await?;
                let Some((last, _)) = rows.last() else { break };
                go_on(&mut after, last.clone())?;
                for id in rows.into_iter().filter_map(|(_, id)| id) {
                    sums.add(ContentId::stored(&id)?, 1);
                }
            }
        }
        let mut after = Vec::new();
        loop {
            let from = after.clone();
            let rows = self.read(|tx| async move { check::refs(tx, &from).await }.boxed()).await?;
            let Some((last, _)) = rows.last() else { break };
            go_on(&mut after, last.as_bytes().to_vec())?;
            for (id, refs) in rows {
                sums.add(id, -refs);
            }
        }
        let differing = (0..=u16::MAX).zip(sums.0).filter(|(_, sum)| *sum != 0);
        Ok(differing.map(|(slot, _)| slot).collect())
    }
}

/// Counts the contents of as many slots as fit into memory; returns what is wrong, and the slots that are left.
async fn count(tx: &mut Tx, mut slots: BTreeSet<u16>) -> Result<(Vec<Counted>, BTreeSet<u16>)> {
    let mut contents: HashMap<ContentId, (i64, i64)> = HashMap::new();
    while let Some(slot) = slots.pop_first() {
        contents.extend(check::refs_of_slot(tx, slot).await?.into_iter().map(|(id, refs)| (id, (refs, 0))));
        if contents.len() >= COUNTED_MAX {
            break;
        }
    }
    for lost in [false, true] {
        let mut after = VersionPlace::first();
        loop {
            let rows = check::shares(tx, &after, lost).await?;
            let Some((last, _)) = rows.last() else { break };
            go_on(&mut after, last.clone())?;
            for id in rows.into_iter().filter_map(|(_, id)| id) {
                if let Some((_, counted)) = contents.get_mut(&ContentId::stored(&id)?) {
                    *counted += 1;
                }
            }
        }
    }
    let wrong = contents.into_iter().filter(|(_, (kept, counted))| kept != counted);
    Ok((wrong.map(|(id, (kept, counted))| Counted { id, kept, counted }).collect(), slots))
}
