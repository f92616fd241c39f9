//! A companion beside a processor: evidence about a GPU counts only with the evidence of the TEE that drives it.
//! Native API, section 4 (`nvidia-gpu`, `composite`); relying party tokens, section 6.

use super::Foreign;
use crate::binding::NativeBinding;
use crate::tokens::fault::TokenFault;
use crate::verified::{BoundKey, Genuine};

/// The part that leads: a processor's TEE, bound to this request, which alone vouches for the recipient.
#[derive(Debug, Clone, Copy)]
pub enum Lead<'a> {
    /// A foreign token.
    Token(&'a Foreign),
    /// Raw evidence, and the binding that it was found bound by.
    Evidence(&'a Genuine, &'a NativeBinding),
}

/// Checks that `device` was attested for the request that `lead` is bound to: its nonce is the first half of the lead's `bind`, which
/// holds challenge, host, request and recipient.
///
/// # Errors
/// `binding-mismatch`: the lead is no processor's TEE or bound to nothing, `device` is no companion, or its nonce is another.
pub fn check_companion(lead: &Lead<'_>, device: &Foreign) -> Result<(), TokenFault> {
    let bind = match lead {
        Lead::Token(token) if token.is_companion() => {
            return Err(TokenFault::Binding("a device does not vouch for another device"));
        }
        Lead::Token(token) => match (token.bind(), token.bound_key()) {
            (Some(bind), BoundKey::Present(_)) => Some(*bind),
            _ => None,
        },
        Lead::Evidence(genuine, binding) => match genuine.bound_key() {
            BoundKey::Present(key) if key == binding.recipient() => binding.report_data().first_chunk::<32>().copied(),
            _ => None,
        },
    };
    let bind = bind.ok_or(TokenFault::Binding("the part that should lead is bound to nothing"))?;
    if !device.is_companion() {
        return Err(TokenFault::Binding("the part beside the lead is no device"));
    }
    match device.carries(&bind) {
        true => Ok(()),
        false => Err(TokenFault::Binding("the device was attested for another request")),
    }
}
