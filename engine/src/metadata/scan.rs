//! Scans that read rows page by page, in order.

use crate::{Error, Result};

/// Sets the place after which the next page begins. It only goes forward: a damaged index can give the same page again and again, and the
/// scan has to end with an error then, where it would go round for ever.
pub(crate) fn go_on<P: PartialOrd>(place: &mut P, next: P) -> Result<()> {
    if next <= *place {
        return Err(Error::corrupt("rows are not in their order"));
    }
    *place = next;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_never_goes_back_nor_stays() {
        let mut place = (1, "b");
        go_on(&mut place, (1, "c")).unwrap();
        assert!(matches!(go_on(&mut place, (1, "c")), Err(Error::Corrupt(_))));
        assert!(matches!(go_on(&mut place, (0, "z")), Err(Error::Corrupt(_))));
        assert_eq!(place, (1, "c"));
    }
}
