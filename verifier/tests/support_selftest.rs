//! The shared test module itself: its generator repeats, its flips reach every bit asked for.

mod support;

#[test]
fn the_generator_repeats_and_always_changes_something() {
    let bytes: Vec<u8> = (0..=255).collect();
    let (mut one, mut two) = (support::Rng::new(7), support::Rng::new(7));
    for _ in 0..200 {
        let changed = one.mutated(&bytes);
        assert_ne!(changed, bytes);
        assert_eq!(changed, two.mutated(&bytes));
    }
}

#[test]
fn flips_stay_inside_the_range() {
    let all: Vec<_> = support::flips(2..4, 7).collect();
    assert!(all.iter().all(|(at, _)| (2..4).contains(at)));
    assert_eq!(all.first(), Some(&(2, 1)));
}
