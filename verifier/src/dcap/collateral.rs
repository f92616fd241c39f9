//! Which of the held pieces may serve: for this platform and TEE, in force now, the newest first.
//!
//! Intel SGX and TDX Provisioning Certification Service API. Held pieces are hints: a caller may have brought them. So a piece is
//! taken by what it says, the highest `tcbEvaluationDataNumber` or list number first, and one whose checks fail only makes room for
//! the next. A piece whose checks hold is final: nobody looks for an older document because the newest says something unknown, or
//! for a list on which a revoked certificate does not stand.

use std::sync::Arc;

use super::documents::{QeIdentity, TcbInfo};
use super::pck::PckChain;
use crate::endorsements::{CollateralId, IntelTee, SignedDocument};
use crate::error::{Code, VerifyError};
use crate::formats::x509::Crl;
use crate::scheme::Given;

/// How many pieces of one name are tried.
const MAX_TRIES: usize = 8;

/// The pieces that may serve for one quote, the best first.
pub(super) struct Held<'a> {
    pub tcb_infos: Vec<(&'a SignedDocument, Arc<TcbInfo>)>,
    pub qe_identities: Vec<(&'a SignedDocument, Arc<QeIdentity>)>,
    pub pck_crls: Vec<Arc<Crl>>,
    pub root_crls: Vec<Arc<Crl>>,
}

impl<'a> Held<'a> {
    pub fn find(given: &Given<'a>, tee: IntelTee, chain: &PckChain) -> Self {
        let (platform, now, memo) = (&chain.platform, given.now, given.memo);
        let mut tcb_infos: Vec<_> = given
            .held
            .tcb_infos()
            .iter()
            .filter_map(|document| Some((document.as_ref(), document.as_tcb_info(memo).ok()?)))
            .filter(|(_, i)| {
                i.tee == tee && i.fmspc == platform.fmspc && i.pce_id == platform.pce_id && i.term.holds(now)
            })
            .collect();
        tcb_infos.sort_by_key(|(_, i)| std::cmp::Reverse((i.term.evaluation_number, i.term.issued)));
        let mut qe_identities: Vec<_> = given
            .held
            .qe_identities()
            .iter()
            .filter_map(|document| Some((document.as_ref(), document.as_qe_identity(memo).ok()?)))
            .filter(|(_, i)| i.tee == tee && i.term.holds(now))
            .collect();
        qe_identities.sort_by_key(|(_, i)| std::cmp::Reverse((i.term.evaluation_number, i.term.issued)));
        let lists = |issuer: &[u8]| {
            let held = given.held.crls().iter().filter_map(|bytes| bytes.crl(memo).ok());
            let mut lists: Vec<_> = held.filter(|list| list.issuer() == issuer && list.in_force(now)).collect();
            lists.sort_by_key(|list| std::cmp::Reverse((list.number(), list.this_update())));
            lists
        };
        Self { tcb_infos, qe_identities, pck_crls: lists(chain.leaf.issuer()), root_crls: lists(chain.issuer.issuer()) }
    }

    /// The names of what is lacking.
    pub fn missing(&self, tee: IntelTee, chain: &PckChain) -> Vec<CollateralId> {
        let fmspc = chain.platform.fmspc;
        let pieces = [
            (self.tcb_infos.is_empty(), CollateralId::IntelTcbInfo { tee, fmspc }),
            (self.qe_identities.is_empty(), CollateralId::IntelQeIdentity { tee }),
            (self.pck_crls.is_empty(), CollateralId::IntelPckCrl { ca: chain.ca }),
            (self.root_crls.is_empty(), CollateralId::IntelRootCrl),
        ];
        pieces.into_iter().filter_map(|(lacking, id)| lacking.then_some(id)).collect()
    }
}

/// The first piece whose checks hold, or the refusal of the first of them. A `revoked` ends the search.
pub(super) fn first_good<'p, P, T>(
    pieces: &'p [P],
    part: &'static str,
    check: impl Fn(&'p P) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    let mut refused = None;
    for piece in pieces.iter().take(MAX_TRIES) {
        match check(piece) {
            Err(why) if why.kind() != Code::Revoked => refused.get_or_insert(why),
            done => return done,
        };
    }
    Err(refused.unwrap_or_else(|| VerifyError::collateral(part, "no piece that is in force is held")))
}
