//! Enums whose values are numbers in shared memory or in a message.
//!
//! A number that another process wrote is parsed where it is read. One that no variant has (it was damaged, or
//! written by another build) is `None`: never a panic, never a guess.

/// Declares an enum with the numbers of its variants and `from_raw`, which finds the variant of a number.
///
/// `ignoring (MASK)` names flags that share the word with the number.
macro_rules! raw_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $raw:ident $(ignoring ($mask:expr))? {
            $($(#[$doc:meta])* $variant:ident = $value:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr($raw)]
        pub enum $name {
            $($(#[$doc])* $variant = $value,)+
        }

        impl $name {
            /// `None` if no variant has this number.
            pub fn from_raw(raw: $raw) -> Option<Self> {
                $(let raw = raw & !($mask);)?
                match raw {
                    $($value => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use raw_enum;

#[cfg(test)]
mod tests {
    raw_enum! {
        /// For the tests.
        pub enum Colour: u8 ignoring (0x80) {
            Red = 1,
            Green = 3,
        }
    }

    #[test]
    fn every_number_is_a_variant_or_nothing() {
        for raw in 0..=u8::MAX {
            let found = Colour::from_raw(raw);
            match raw & 0x7f {
                1 => assert_eq!(found, Some(Colour::Red)),
                3 => assert_eq!(found, Some(Colour::Green)),
                _ => assert_eq!(found, None),
            }
        }
    }
}
