//! Keys that parse and are no good: each differs in one thing from one that is taken.

use keygate_keystore::{ImportFormat, KeyMaterial, KeyType, KeystoreError};
use openssl::bn::{BigNum, BigNumContext, MsbOption};
use openssl::rsa::Rsa;

use crate::vectors::{element, jwk_of_rsa, number};

/// The eight numbers of an RSA key, to be put together as PKCS#8 whatever they are.
struct Numbers([Vec<u8>; 8]);

const N: usize = 0;
const E: usize = 1;
const D: usize = 2;
const P: usize = 3;
const Q: usize = 4;
const DP: usize = 5;
const QI: usize = 7;

impl Numbers {
    fn good() -> Self {
        let key = Rsa::generate(2048).unwrap();
        Self::of(&key)
    }

    fn of(key: &Rsa<openssl::pkey::Private>) -> Self {
        Self([
            key.n().to_vec(),
            key.e().to_vec(),
            key.d().to_vec(),
            key.p().unwrap().to_vec(),
            key.q().unwrap().to_vec(),
            key.dmp1().unwrap().to_vec(),
            key.dmq1().unwrap().to_vec(),
            key.iqmp().unwrap().to_vec(),
        ])
    }

    fn from_primes(p: &BigNum, q: &BigNum, e: u32) -> Self {
        let mut context = BigNumContext::new().unwrap();
        let one = BigNum::from_u32(1).unwrap();
        let e = BigNum::from_u32(e).unwrap();
        let (mut n, mut phi) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        n.checked_mul(p, q, &mut context).unwrap();
        let (p1, q1) = (p - &one, q - &one);
        phi.checked_mul(&p1, &q1, &mut context).unwrap();
        let mut d = BigNum::new().unwrap();
        d.mod_inverse(&e, &phi, &mut context).unwrap();
        let (dp, dq) = (&d % &p1, &d % &q1);
        let mut qi = BigNum::new().unwrap();
        if qi.mod_inverse(q, p, &mut context).is_err() {
            qi = BigNum::from_u32(1).unwrap();
        }
        Self([&n, &e, &d, p, q, &dp, &dq, &qi].map(|number| number.to_vec()))
    }

    fn with(mut self, place: usize, value: Vec<u8>) -> Self {
        self.0[place] = value;
        self
    }

    fn import(&self) -> Result<KeyMaterial, KeystoreError> {
        let mut inner = vec![2, 1, 0];
        inner.extend(self.0.iter().flat_map(|n| number(n)));
        let algorithm = hex::decode("300d06092a864886f70d0101010500").unwrap();
        let key = element(0x04, &element(0x30, &inner));
        let der = element(0x30, &[vec![2, 1, 0], algorithm, key].concat());
        KeyMaterial::import(ImportFormat::Pkcs8Der(&der), None)
    }

    #[track_caller]
    fn refused(&self, code: &str, words: &str) {
        let error = self.import().err().expect("refused");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

fn changed(number: &[u8]) -> Vec<u8> {
    let mut changed = number.to_vec();
    changed[20] ^= 2;
    changed
}

fn prime(bits: i32) -> BigNum {
    let mut prime = BigNum::new().unwrap();
    prime.generate_prime(bits, false, None, None).unwrap();
    prime
}

#[test]
fn key_14_rsa_numbers_that_do_not_fit_are_malformed() {
    let key = Rsa::generate(2048).unwrap();
    let good = || Numbers::of(&key);
    assert_eq!(good().import().unwrap().key_type(), KeyType::Rsa2048);
    for place in [N, D, P, Q, DP, DP + 1, QI] {
        let value = changed(&good().0[place]);
        good().with(place, value).refused("malformed", "no RSA key");
    }
}

#[test]
fn key_14_even_modulus_is_malformed() {
    let good = Numbers::good();
    let mut n = good.0[N].clone();
    *n.last_mut().unwrap() &= 0xfe;
    good.with(N, n).refused("malformed", "even");
}

#[test]
fn key_14_exponent_one_or_even_is_malformed_and_a_small_one_unsupported() {
    let key = Rsa::generate(2048).unwrap();
    let good = || Numbers::of(&key);
    good().with(E, vec![1]).refused("malformed", "odd and not 1");
    good().with(E, vec![1, 0, 0]).refused("malformed", "odd and not 1");
    good().with(E, vec![1, 0, 3]).refused("malformed", "no RSA key");
    good().with(E, vec![1, 0, 0, 0, 1]).refused("unsupported", "below 2^32");
    let three = BigNum::from_u32(3).unwrap();
    let cubed = Rsa::generate_with_e(2048, &three).unwrap();
    Numbers::of(&cubed).refused("unsupported", "65537 or more");
}

#[test]
fn key_14_equal_primes_are_malformed() {
    let p = prime(1024);
    Numbers::from_primes(&p, &p, 65_537).refused("malformed", "the same");
}

#[test]
fn key_14_primes_close_together_are_unsupported() {
    let mut context = BigNumContext::new().unwrap();
    let p = prime(1024);
    let mut q = &p + &BigNum::from_u32(2).unwrap();
    while !q.is_prime_fasttest(0, &mut context, true).unwrap() {
        q.add_word(2).unwrap();
    }
    Numbers::from_primes(&p, &q, 65_537).refused("unsupported", "too close");
}

#[test]
fn key_14_primes_of_unequal_length_are_unsupported() {
    loop {
        let numbers = Numbers::from_primes(&prime(1000), &prime(1048), 65_537);
        let n = BigNum::from_slice(&numbers.0[N]).unwrap();
        if n.num_bits() == 2048 {
            return numbers.refused("unsupported", "half the bits");
        }
    }
}

#[test]
fn key_14_composite_factor_is_malformed() {
    let mut context = BigNumContext::new().unwrap();
    loop {
        let (mut composite, q) = (BigNum::new().unwrap(), prime(1024));
        composite.checked_mul(&prime(512), &prime(512), &mut context).unwrap();
        let mut n = BigNum::new().unwrap();
        n.checked_mul(&composite, &q, &mut context).unwrap();
        if composite.num_bits() == 1024 && n.num_bits() == 2048 {
            let numbers = Numbers::from_primes(&composite, &q, 65_537);
            return numbers.refused("malformed", "no RSA key");
        }
    }
}

#[test]
fn key_14_short_private_exponent_is_unsupported() {
    let key = Rsa::generate(2048).unwrap();
    let short = Numbers::of(&key).0[D][..100].to_vec();
    Numbers::of(&key).with(D, short).refused("unsupported", "exponent is too short");
}

/// Primes as that generator made them: `k M + (65537^a mod M)`, M the product of the primes up to 701.
#[test]
fn key_14_roca_is_unsupported() {
    let (p, q) = (roca_prime(), roca_prime());
    let numbers = Numbers::from_primes(&p, &q, 65_537);
    assert_eq!(BigNum::from_slice(&numbers.0[N]).unwrap().num_bits(), 2048);
    numbers.refused("unsupported", "CVE-2017-15361");
    let key = Rsa::generate(2048).unwrap();
    assert!(Numbers::of(&key).import().is_ok(), "{:?}", jwk_of_rsa(&key));
}

fn roca_prime() -> BigNum {
    let mut context = BigNumContext::new().unwrap();
    let mut product = BigNum::from_u32(1).unwrap();
    for candidate in 2..=701_u32 {
        if (2..candidate).all(|d| candidate % d != 0) {
            product.mul_word(candidate).unwrap();
        }
    }
    let generator = BigNum::from_u32(65_537).unwrap();
    let mut low = BigNum::from_u32(3).unwrap();
    // the two upper bits set, so that the product of two has twice the length
    low.lshift(&BigNum::from_u32(3).unwrap(), 1022).unwrap();
    loop {
        let (mut a, mut start) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        a.rand(256, MsbOption::MAYBE_ZERO, false).unwrap();
        start.mod_exp(&generator, &a, &product, &mut context).unwrap();
        let mut k = BigNum::new().unwrap();
        k.rand(1024 - product.num_bits() - 2, MsbOption::MAYBE_ZERO, false).unwrap();
        let base = &(&low / &product) + &k;
        let mut prime = BigNum::new().unwrap();
        prime.checked_mul(&base, &product, &mut context).unwrap();
        let prime = &prime + &start;
        if prime.num_bits() == 1024 && prime.is_bit_set(1022) && prime.is_prime_fasttest(0, &mut context, true).unwrap()
        {
            return prime;
        }
    }
}
