//! Queries and data out of a seed: the same seed makes the same ones for ever.

use serde_json::{Map, Value, json};

/// A xorshift generator; statistics do not matter here, repeatability does.
pub struct Maker(u64);

const TEXTS: [&str; 10] = ["", "a", "b", "ab", "Ab", "12", "-3", "1.5", "\u{e9}\u{1f600}", "a b"];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

impl Maker {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    pub fn pick<'s, T: ?Sized>(&mut self, from: &[&'s T]) -> &'s T {
        from[self.below(from.len())]
    }

    pub fn number(&mut self) -> Value {
        match self.below(6) {
            0 => json!(self.below(7) as f64 / 2.0 - 1.0),
            1 => json!(-(self.below(5) as i64)),
            _ => json!(self.below(5)),
        }
    }

    pub fn text(&mut self) -> &'static str {
        self.pick(&TEXTS)
    }

    /// Members are always the first few of the names, in order: an order by name is then the order of the data.
    pub fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 12 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 | 3 => self.number(),
            4 => json!(self.text()),
            5 | 6 => (0..self.below(5)).map(|_| self.number()).collect(),
            7 => (0..self.below(4)).map(|_| json!(self.text())).collect(),
            8 | 9 => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let mut members = Map::new();
                for name in NAMES.iter().take(self.below(5)) {
                    members.insert((*name).to_owned(), self.value(depth - 1));
                }
                Value::Object(members)
            }
        }
    }

    pub fn literal(&mut self, depth: usize) -> String {
        format!("`{}`", self.value(depth))
    }

    fn name(&mut self) -> String {
        match self.below(8) {
            0 => format!("\"{}\"", self.pick(&NAMES)),
            _ => self.pick(&NAMES).to_owned(),
        }
    }

    fn hash(&mut self, depth: usize) -> String {
        let count = 1 + self.below(3);
        let members: Vec<String> =
            (0..count).map(|index| format!("{}: {}", NAMES[index], self.query(depth - 1))).collect();
        format!("{{{}}}", members.join(", "))
    }

    fn list(&mut self, depth: usize) -> String {
        let parts: Vec<String> = (0..=self.below(3)).map(|_| self.query(depth - 1)).collect();
        format!("[{}]", parts.join(", "))
    }

    fn slice(&mut self) -> String {
        let part = |maker: &mut Self| match maker.below(3) {
            0 => String::new(),
            _ => (maker.below(9) as i64 - 4).to_string(),
        };
        let (start, stop) = (part(self), part(self));
        match self.below(3) {
            0 => format!("[{start}:{stop}]"),
            _ => format!("[{start}:{stop}:{}]", self.pick(&["", "1", "2", "-1", "-2", "3"])),
        }
    }

    /// Something that often gives what a function takes.
    fn argument(&mut self, kind: char, depth: usize) -> String {
        if self.below(6) == 0 {
            return self.query(depth);
        }
        match (kind, self.below(3)) {
            ('&', _) => format!("&{}", self.query(depth)),
            ('n', 0) => format!("`{}`", self.number()),
            ('n', _) => format!("to_number({})", self.query(depth)),
            ('s', 0) => format!("'{}'", self.text()),
            ('s', _) => format!("to_string({})", self.query(depth)),
            ('l', 0) => format!("`{}`", (0..self.below(5)).map(|_| self.number()).collect::<Value>()),
            ('l', 1) => format!("to_array({})", self.query(depth)),
            ('l', _) => self.list(depth.max(1)),
            ('t', 0) => format!("`{}`", (0..self.below(5)).map(|_| json!(self.text())).collect::<Value>()),
            ('t', _) => format!("map(&to_string(@), to_array({}))", self.query(depth)),
            ('o', _) => self.hash(depth.max(1)),
            _ => self.query(depth),
        }
    }

    fn call(&mut self, depth: usize) -> String {
        const CALLS: [(&str, &str); 26] = [
            ("abs", "n"),
            ("avg", "l"),
            ("ceil", "n"),
            ("contains", "l*"),
            ("contains", "ss"),
            ("ends_with", "ss"),
            ("floor", "n"),
            ("join", "st"),
            ("keys", "o"),
            ("length", "*"),
            ("map", "&l"),
            ("max", "l"),
            ("max_by", "l&"),
            ("merge", "oo"),
            ("min", "t"),
            ("min_by", "l&"),
            ("not_null", "***"),
            ("reverse", "l"),
            ("reverse", "s"),
            ("sort", "t"),
            ("sort_by", "l&"),
            ("starts_with", "ss"),
            ("sum", "l"),
            ("to_string", "*"),
            ("type", "*"),
            ("values", "o"),
        ];
        let (name, kinds) = CALLS[self.below(CALLS.len())];
        let given: Vec<String> = kinds.chars().map(|kind| self.argument(kind, depth - 1)).collect();
        format!("{name}({})", given.join(", "))
    }

    fn leaf(&mut self) -> String {
        match self.below(9) {
            0 => "@".to_owned(),
            1 => "*".to_owned(),
            2 => format!("'{}'", self.text()),
            3 => self.literal(1),
            4 => format!("[{}]", self.below(5) as i64 - 2),
            _ => self.name(),
        }
    }

    /// A query of about `depth` levels, nearly always well formed.
    pub fn query(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.leaf();
        }
        let below = depth - 1;
        match self.below(22) {
            0 => self.leaf(),
            1 | 2 => format!("{}.{}", self.query(below), self.name()),
            3 => format!("{}.*", self.query(below)),
            4 => format!("{}[{}]", self.query(below), self.below(5) as i64 - 2),
            5 => format!("{}{}", self.query(below), self.slice()),
            6 => format!("{}[*]", self.query(below)),
            7 => format!("{}[]", self.query(below)),
            8 | 9 => format!("{}[?{}]", self.query(below), self.query(below)),
            10 => format!("{}.{}", self.query(below), self.list(depth)),
            11 => format!("{}.{}", self.query(below), self.hash(depth)),
            12 => self.list(depth),
            13 => self.hash(depth),
            14 => format!("{} {} {}", self.query(below), self.pick(&["||", "&&"]), self.query(below)),
            15 => format!("{} {} {}", self.query(below), self.comparator(), self.query(below)),
            16 => format!("!{}", self.query(below)),
            17 => format!("({})", self.query(below)),
            18 => format!("{} | {}", self.query(below), self.query(below)),
            _ => self.call(depth),
        }
    }

    fn comparator(&mut self) -> &'static str {
        self.pick(&["==", "!=", "<", "<=", ">", ">="])
    }

    /// Tokens in no order: nearly never well formed.
    pub fn soup(&mut self) -> String {
        const PIECES: [&str; 38] = [
            "a", "b", "length(", "sort_by(", "\"a\"", "\"", "`1`", "`[1,2]`", "`", "'x'", "'", ".", ".*", "*", "[",
            "]", "[]", "[*]", "[?", "[0]", "[1:2]", "[::-1]", ":", ",", "(", ")", "{", "}", "{a: b}", "@", "&", "&&",
            "|", "||", "!", "==", "<=", "-1",
        ];
        let count = 1 + self.below(9);
        (0..count).map(|_| self.pick(&PIECES)).collect()
    }
}
