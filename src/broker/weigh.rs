//! A use weighed: caller, deny list, attestation policy, rule and state, all on what was read in one moment, and the record of it so
//! far. The same for every door.
//!
//! `architecture.md` section 8, step 6; threat model P25, P27.

use keygate_keystore::{Look, Machine};

use super::Broker;
use super::appraise::Shown;
use super::caller;
use super::decide::{Judged, Question};
use super::describe::PRESENTED;
use super::error::{Code, Fault};
use crate::audit::{Event, Field};
use crate::result::Appraised;

/// What was found, and what is to be recorded of it.
pub(crate) struct Weighed {
    /// The verdict, and by which rules.
    pub(crate) judged: Judged,
    /// What the attestation policy made of our own appraisal.
    pub(crate) appraised: Option<Appraised>,
    /// The machine, for the commit to look at.
    pub(crate) machine: Option<Machine>,
    /// The record without the tests of the rule.
    pub(crate) event: Event,
    looked: Option<Event>,
    is_there: bool,
}

impl Weighed {
    /// The record of a permit, or of what stands in its way, with the tests of the rule.
    pub(crate) fn with_tests(&self) -> Event {
        self.looked.clone().unwrap_or_else(|| self.event.clone())
    }

    /// The record of a denial. Without the key the tests are those of a stand-in: made, for the time it takes, and dropped.
    pub(crate) fn denial(&self) -> Event {
        self.looked.clone().filter(|_| self.is_there).unwrap_or_else(|| self.event.clone())
    }
}

impl Broker {
    /// Weighs one use on what `look` read.
    pub(crate) fn weigh(
        &self,
        question: &Question<'_>,
        shown: Option<&Shown>,
        look: &Look,
        draft: &Event,
        now: i64,
    ) -> Result<Weighed, Fault> {
        let provider = question.seat.provider.id();
        // A credential that ended meanwhile decides nothing; one that ends from here on moves the epoch.
        caller::still_there(&self.keystore, provider, question.caller, now)?;
        if let Some(shown) = shown
            && self.denied.holds(&self.keystore, provider, look.epoch, &shown.result.identities)?
        {
            return Err(Fault::new(Code::Revoked, "deny-list"));
        }
        let machine = shown.map(|shown| self.still_standing(provider, &shown.result, shown.standing.as_ref(), now));
        let machine = machine.transpose()?.flatten();
        let appraised =
            shown.map(|shown| self.under_policy(question.seat, shown, look.epoch, now)).transpose()?.flatten();
        let judged = self.judge(question, shown.map(|shown| (shown, appraised.as_ref())), look, now)?;
        let mut event = draft.clone();
        if let Some(appraised) = &appraised {
            event = event.digest(Field::Policy, &appraised.policy.digest);
        }
        if look.key.is_some() {
            event = event.digest(Field::Rule, &judged.rules.digest());
        }
        if let Some(rule) = judged.decision.as_ref().and_then(|decision| decision.rule) {
            event = event.word(Field::RuleName, rule.as_str());
        }
        let looked = judged.decision.as_ref().map(|decision| event.clone().leaves(&decision.leaves, &PRESENTED));
        Ok(Weighed { judged, appraised, machine, event, looked, is_there: look.key.is_some() })
    }
}
