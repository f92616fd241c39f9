//! Macro that declares a fault enum together with its list, its rows and its expected codes.
//! Rows and codes are those of the catalogue of bad inputs, section 0 and the section named by each enum.

/// Declares a fault enum with `ALL`, `row()`, `expected_code()` and `allows()`.
macro_rules! faults {
    (
        $(#[$outer:meta])*
        $name:ident {
            $( $(#[$inner:meta])* $variant:ident => ($row:literal, $code:literal $(| $other:literal)*), )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$inner])* $variant, )+
        }

        impl $name {
            /// Every fault of this kind, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Row of the catalogue of bad inputs, e.g. `SNP-05`.
            pub const fn row(self) -> &'static str {
                match self { $(Self::$variant => $row),+ }
            }

            /// Stable code with which a sound verifier refuses this fault.
            pub const fn expected_code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// Whether the catalogue allows this code: the expected one, or another it names.
            pub fn allows(self, code: &str) -> bool {
                match self { $(Self::$variant => code == $code $(|| code == $other)*),+ }
            }
        }
    };
}
