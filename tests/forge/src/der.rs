//! A tiny DER writer: tag, length, value, and the few types certificates need.
//! Encoding rules of X.690 section 10, object identifiers of X.690 section 8.19.

/// Writes one element: `tag`, the shortest length and `value`.
pub fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(length(value.len()));
    out.extend_from_slice(value);
    out
}

fn length(n: usize) -> Vec<u8> {
    if n < 0x80 {
        return vec![n as u8];
    }
    let bytes: Vec<u8> = n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
    let mut out = vec![0x80 | bytes.len() as u8];
    out.extend(bytes);
    out
}

/// SEQUENCE of already encoded elements.
pub fn sequence(items: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &items.concat())
}

/// SET of already encoded elements, in the order given.
pub fn set(items: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, &items.concat())
}

/// Explicit context tag `[n]` around an encoded element.
pub fn explicit(n: u8, inner: &[u8]) -> Vec<u8> {
    tlv(0xa0 | n, inner)
}

/// INTEGER from big-endian magnitude bytes; always non-negative and minimal.
pub fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = magnitude.iter().copied().skip_while(|b| *b == 0).collect();
    if bytes.first().is_none_or(|b| *b >= 0x80) {
        bytes.insert(0, 0);
    }
    tlv(0x02, &bytes)
}

/// INTEGER from a small number.
pub fn integer(n: u64) -> Vec<u8> {
    unsigned(&n.to_be_bytes())
}

/// INTEGER whose content bytes are taken as they are: negative or non-minimal values on purpose.
pub fn raw_integer(content: &[u8]) -> Vec<u8> {
    tlv(0x02, content)
}

/// BOOLEAN.
pub fn boolean(value: bool) -> Vec<u8> {
    tlv(0x01, &[if value { 0xff } else { 0 }])
}

/// ENUMERATED from a small number below 128.
pub fn enumerated(n: u8) -> Vec<u8> {
    tlv(0x0a, &[n])
}

/// NULL.
pub fn null() -> Vec<u8> {
    tlv(0x05, &[])
}

/// OCTET STRING.
pub fn octets(value: &[u8]) -> Vec<u8> {
    tlv(0x04, value)
}

/// BIT STRING with `unused` bits left over in the last byte.
pub fn bits(value: &[u8], unused: u8) -> Vec<u8> {
    let mut content = vec![unused];
    content.extend_from_slice(value);
    tlv(0x03, &content)
}

/// UTF8String.
pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

/// PrintableString.
pub fn printable(text: &str) -> Vec<u8> {
    tlv(0x13, text.as_bytes())
}

/// IA5String.
pub fn ia5(text: &str) -> Vec<u8> {
    tlv(0x16, text.as_bytes())
}

/// OBJECT IDENTIFIER from dotted text such as `1.2.840.10045.4.3.2`.
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().expect("an arc is a number")).collect();
    let mut content = base128(arcs[0] * 40 + arcs[1]);
    for arc in &arcs[2..] {
        content.extend(base128(*arc));
    }
    tlv(0x06, &content)
}

fn base128(mut n: u64) -> Vec<u8> {
    let mut out = vec![(n & 0x7f) as u8];
    n >>= 7;
    while n > 0 {
        out.insert(0, 0x80 | (n & 0x7f) as u8);
        n >>= 7;
    }
    out
}

/// Time of a certificate: UTCTime through 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5).
pub fn time(unix: i64) -> Vec<u8> {
    let c = civil(unix);
    let tail = format!("{:02}{:02}{:02}{:02}{:02}Z", c.month, c.day, c.hour, c.minute, c.second);
    if (1950..2050).contains(&c.year) {
        tlv(0x17, format!("{:02}{tail}", c.year % 100).as_bytes())
    } else {
        tlv(0x18, format!("{:04}{tail}", c.year).as_bytes())
    }
}

/// The same instant as RFC 3339 text in seconds, e.g. `2026-11-23T18:00:00Z`.
pub fn rfc3339(unix: i64) -> String {
    let c = civil(unix);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

fn civil(unix: i64) -> Civil {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let mut year = 1970;
    let mut left = days;
    while left < 0 || left >= year_length(year) {
        if left < 0 {
            year -= 1;
            left += year_length(year);
        } else {
            left -= year_length(year);
            year += 1;
        }
    }
    let mut month = 1;
    while left >= month_length(year, month) {
        left -= month_length(year, month);
        month += 1;
    }
    Civil { year, month, day: left + 1, hour: seconds / 3600, minute: seconds / 60 % 60, second: seconds % 60 }
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn year_length(year: i64) -> i64 {
    if leap(year) { 366 } else { 365 }
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_826_154), "2000-02-29T12:09:14Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(time(2_524_607_999), tlv(0x17, b"491231235959Z"));
        assert_eq!(time(2_524_608_000), tlv(0x18, b"20500101000000Z"));
    }

    #[test]
    fn lengths_and_identifiers_are_minimal() {
        assert_eq!(tlv(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
        assert_eq!(hex::encode(oid("1.2.840.113741.1.13.1")), "06092a864886f84d010d01");
        assert_eq!(integer(0), [2, 1, 0]);
        assert_eq!(integer(200), [2, 2, 0, 200]);
    }
}
