//! What one evaluation may spend: steps and bytes, counted down, never given back.
//! Threat model, P22; bad inputs, row POL-04.

use std::fmt;

/// The budget of one evaluation. What is charged is gone, also where the work then fails.
///
/// ```
/// use keygate_policies::fuel::{Exhausted, Fuel};
///
/// let mut fuel = Fuel::new(3, 1_024);
/// fuel.step(2)?;
/// assert_eq!(fuel.step(2), Err(Exhausted::Steps));
/// assert_eq!(fuel.step(0), Err(Exhausted::Steps), "a tank that is empty stays so");
/// # Ok::<(), Exhausted>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fuel {
    steps: u64,
    bytes: u64,
    steps_spent: u64,
    bytes_spent: u64,
    empty: Option<Exhausted>,
}

impl Fuel {
    /// A budget of `steps` steps and `bytes` bytes of values made.
    #[must_use]
    pub const fn new(steps: u64, bytes: u64) -> Self {
        Self { steps, bytes, steps_spent: 0, bytes_spent: 0, empty: None }
    }

    /// What the service grants: 100,000 steps and 16 MiB.
    #[must_use]
    pub const fn service() -> Self {
        Self::new(100_000, 16 * 1_024 * 1_024)
    }

    /// Charges `n` steps.
    ///
    /// # Errors
    /// [`Exhausted`], now and at every later charge, once more is asked than was granted.
    pub fn step(&mut self, n: u64) -> Result<(), Exhausted> {
        charge(&mut self.empty, &mut self.steps_spent, self.steps, n, Exhausted::Steps)
    }

    /// Charges `n` bytes of values made.
    ///
    /// # Errors
    /// [`Exhausted`], now and at every later charge, once more is asked than was granted.
    pub fn bytes(&mut self, n: u64) -> Result<(), Exhausted> {
        charge(&mut self.empty, &mut self.bytes_spent, self.bytes, n, Exhausted::Bytes)
    }

    /// Steps charged so far; never more than were granted.
    #[must_use]
    pub const fn steps_spent(&self) -> u64 {
        self.steps_spent
    }

    /// Bytes charged so far; never more than were granted.
    #[must_use]
    pub const fn bytes_spent(&self) -> u64 {
        self.bytes_spent
    }
}

fn charge(
    empty: &mut Option<Exhausted>,
    spent: &mut u64,
    granted: u64,
    n: u64,
    which: Exhausted,
) -> Result<(), Exhausted> {
    if let Some(before) = *empty {
        return Err(before);
    }
    match spent.checked_add(n).filter(|total| *total <= granted) {
        Some(total) => {
            *spent = total;
            Ok(())
        }
        None => {
            *empty = Some(which);
            Err(which)
        }
    }
}

/// Which part of the budget ran out first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// Steps.
    Steps,
    /// Bytes.
    Bytes,
}

impl Exhausted {
    /// The stable code: `budget-exceeded`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "budget-exceeded"
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "evaluation takes more steps than it is granted",
            Self::Bytes => "evaluation makes more bytes than it is granted",
        })
    }
}

impl std::error::Error for Exhausted {}
