//! Cases that take turns: what a piece of work costs beside the floor that was measured in the same round.
//!
//! `performance-floor.md` sections 1 and 9: round-robin, every case about 10 ms, 13 rounds, CPU time, the median of the ratios of each
//! round. Neighbours slow all cases of a round alike, so that a ratio holds where a time does not. Criterion shows the same cases one
//! by one, in the same CPU time.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::sign::{Signer, Verifier};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 13;
/// How long a case works in each round.
const TURN: Duration = Duration::from_millis(10);
/// Pieces that are made before the clock starts.
const HELPING: u64 = 32;
/// The unit, V.
pub const V: &str = "floor/p256_verify";
/// The signed part of a TDX quote of version 4.
const V_MESSAGE: usize = 632;

/// What a case is compared with: so many times these cases of the run.
pub type Floor = Vec<(f64, &'static str)>;

/// Work that is repeated so often; the CPU time that it took.
type Work<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

struct Case<'a> {
    name: String,
    floor: Floor,
    /// Another case that it is shown beside.
    beside: Option<String>,
    work: Work<'a>,
}

/// The cases of one run, V among them.
pub struct Rounds<'a>(Vec<Case<'a>>);

/// CPU time that this process has taken, all its threads.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

impl<'a> Rounds<'a> {
    pub fn new() -> Self {
        let mut rounds = Self(Vec::new());
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("openssl");
        let pair = PKey::from_ec_key(EcKey::generate(&group).expect("openssl")).expect("openssl");
        let public = PKey::public_key_from_der(&pair.public_key_to_der().expect("openssl")).expect("openssl");
        let message = [0x5a; V_MESSAGE];
        let mut signer = Signer::new(MessageDigest::sha256(), &pair).expect("openssl");
        let signature = signer.sign_oneshot_to_vec(&message).expect("openssl");
        rounds.case(V, Vec::new(), move || {
            let mut verifier = Verifier::new(MessageDigest::sha256(), &public).expect("openssl");
            assert!(verifier.verify_oneshot(&signature, &message).expect("openssl"));
        });
        rounds
    }

    /// Adds a case.
    pub fn case<T>(&mut self, name: impl Into<String>, floor: Floor, mut work: impl FnMut() -> T + 'a) {
        self.fed(name, floor, || (), move |()| work());
    }

    /// Adds a case that consumes what `prepare` makes outside of the clock.
    pub fn fed<I, T>(
        &mut self,
        name: impl Into<String>,
        floor: Floor,
        mut prepare: impl FnMut() -> I + 'a,
        mut work: impl FnMut(I) -> T + 'a,
    ) {
        let work = Box::new(move |times: u64| {
            let (mut left, mut taken) = (times, Duration::ZERO);
            while left > 0 {
                // Few at a time, so that they are as warm as what was just made; what has no size is never made.
                let helping = if size_of::<I>() == 0 { left } else { left.min(HELPING) };
                let food: Vec<I> = (0..helping).map(|_| prepare()).collect();
                let start = cpu();
                for piece in food {
                    black_box(work(black_box(piece)));
                }
                taken += cpu().saturating_sub(start);
                left -= helping;
            }
            taken
        });
        self.0.push(Case { name: name.into(), floor, beside: None, work });
    }

    /// The case that was added last is shown beside this one too.
    #[allow(dead_code)] // each bench uses its part
    pub fn beside(&mut self, name: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.beside = Some(name.into());
        }
    }

    /// Shows every case to criterion, in CPU time; then, where figures are wanted, lets them take turns and prints a line for each:
    /// name, microseconds, V, ratio to its floor.
    pub fn run(mut self) {
        let mut criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(150))
            .measurement_time(Duration::from_millis(400))
            .configure_from_args();
        for case in &mut self.0 {
            criterion.bench_function(&case.name, |bench| bench.iter_custom(|times| (case.work)(times)));
        }
        criterion.final_summary();
        let asked = |word: &str| std::env::args().any(|argument| argument == word);
        if asked("--bench") && !asked("--profile-time") {
            self.take_turns();
        }
    }

    fn take_turns(mut self) {
        let load = || std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let before = load();
        let often: Vec<u64> = self.0.iter_mut().map(|case| repeats(&mut case.work)).collect();
        let mut taken: Vec<Vec<f64>> = vec![Vec::new(); self.0.len()];
        for _ in 0..ROUNDS {
            for (index, case) in self.0.iter_mut().enumerate() {
                // What the case before left in caches, and its threads still do, is no concern of this one.
                (case.work)(often[index]);
                taken[index].push((case.work)(often[index]).as_secs_f64() * 1e6 / often[index] as f64);
            }
        }
        let words = |text: &str| text.split_whitespace().next().unwrap_or("?").to_owned();
        println!("\n{}, load average {} to {}", openssl::version::version(), words(&before), words(&load()));
        println!("{:<36}{:>12}{:>10}{:>10}  floor", "case", "CPU us", "V", "ratio");
        let place =
            |name: &str| self.0.iter().position(|case| case.name == name).expect("a floor is a case of the run");
        for (index, case) in self.0.iter().enumerate() {
            let over = |floor: &Floor| {
                let parts: Vec<(f64, usize)> = floor.iter().map(|(times, name)| (*times, place(name))).collect();
                let sum = |round: usize| parts.iter().map(|(times, at)| times * taken[*at][round]).sum::<f64>();
                median((0..ROUNDS).map(|round| taken[index][round] / sum(round)).collect())
            };
            let ratio = if case.floor.is_empty() { "-".to_owned() } else { format!("{:.2}", over(&case.floor)) };
            let words: Vec<String> = case.floor.iter().map(|(times, name)| format!("{times} {name}")).collect();
            let beside = case.beside.as_deref().map(|name| {
                let (own, other) = (&taken[index], &taken[place(name)]);
                let ratio = median((0..ROUNDS).map(|round| own[round] / other[round]).collect());
                format!("; {ratio:.2} of {name}")
            });
            println!(
                "{:<36}{:>12.2}{:>10.4}{ratio:>10}  {}{}",
                case.name,
                median(taken[index].clone()),
                over(&vec![(1.0, V)]),
                words.join(" + "),
                beside.unwrap_or_default(),
            );
        }
    }
}

/// How often a piece of work fits into a turn.
fn repeats(work: &mut Work<'_>) -> u64 {
    let mut times = 1;
    loop {
        let taken = work(times);
        if taken >= TURN / 4 || times >= 1 << 20 {
            let each = taken.as_secs_f64() / times as f64;
            return ((TURN.as_secs_f64() / each.max(1e-9)) as u64).clamp(1, 1 << 20);
        }
        times *= 4;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
