//! A tiny CBOR writer that can also write what no sound encoder would.
//! RFC 8949 section 3 (heads and major types), section 4.2.1 (deterministic encoding).

/// Head of an item: major type 0 to 7 and its argument in the fewest bytes.
pub fn head(major: u8, n: u64) -> Vec<u8> {
    let top = major << 5;
    match n {
        0..24 => vec![top | n as u8],
        24..0x100 => vec![top | 24, n as u8],
        0x100..0x1_0000 => [&[top | 25][..], &(n as u16).to_be_bytes()].concat(),
        0x1_0000..0x1_0000_0000 => [&[top | 26][..], &(n as u32).to_be_bytes()].concat(),
        _ => long_head(major, n),
    }
}

/// Head whose argument always takes eight bytes.
pub fn long_head(major: u8, n: u64) -> Vec<u8> {
    [&[major << 5 | 27][..], &n.to_be_bytes()].concat()
}

/// Unsigned integer.
pub fn uint(n: u64) -> Vec<u8> {
    head(0, n)
}

/// Any integer.
pub fn int(n: i64) -> Vec<u8> {
    match u64::try_from(n) {
        Ok(n) => head(0, n),
        Err(_) => head(1, (-1 - n) as u64),
    }
}

/// Byte string.
pub fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len() as u64), value.to_vec()].concat()
}

/// Text string.
pub fn text(value: &str) -> Vec<u8> {
    [head(3, value.len() as u64), value.as_bytes().to_vec()].concat()
}

/// Array of encoded items.
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// Map of encoded pairs, in the order given.
pub fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = head(5, pairs.len() as u64);
    for (key, value) in pairs {
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    out
}

/// Map of indefinite length.
pub fn open_map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0xbf];
    for (key, value) in pairs {
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    out.push(0xff);
    out
}

/// Tagged item.
pub fn tag(number: u64, item: &[u8]) -> Vec<u8> {
    [head(6, number), item.to_vec()].concat()
}

/// Null.
pub fn null() -> Vec<u8> {
    vec![0xf6]
}

/// Floating-point number of eight bytes.
pub fn float(value: f64) -> Vec<u8> {
    [&[0xfb][..], &value.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ciborium::Value;

    fn read(bytes: &[u8]) -> Value {
        ciborium::from_reader(bytes).unwrap()
    }

    #[test]
    fn another_reader_agrees() {
        for n in [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX) + 1] {
            assert_eq!(read(&uint(n)), Value::from(n));
            assert_eq!(read(&long_head(0, n)), Value::from(n));
        }
        assert_eq!(read(&int(-35)), Value::from(-35));
        assert_eq!(read(&text("pcrs")), Value::from("pcrs"));
        assert_eq!(read(&bytes(&[7; 300])), Value::from(vec![7; 300]));
        assert_eq!(read(&tag(18, &null())), Value::Tag(18, Box::new(Value::Null)));
        let pairs = [(uint(1), array(&[null(), float(0.5)]))];
        assert_eq!(read(&map(&pairs)), read(&open_map(&pairs)));
    }
}
