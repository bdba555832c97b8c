//! The form in which keys are defined: one entry makes a documented field, a line of the table that the parser, the
//! printed configuration and the reference come from, and the conversion to the field's type.

use super::spec::{Default, Kind, Traits};

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// As in the file, with its section: `write.wait_ms`.
    pub(super) name: &'static str,
    /// The documentation of its field, line by line.
    pub(super) doc: &'static str,
    pub(super) traits: Traits,
}

/// One section of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    /// With the dot that its keys' names go on after; empty for the keys above all sections.
    pub(super) prefix: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

impl Section {
    /// As it stands in brackets in the file.
    pub(super) fn title(&self) -> &'static str {
        self.prefix.trim_end_matches('.')
    }
}

impl Key {
    /// `ISOCHROME_WRITE_WAIT_MS` for `write.wait_ms`.
    pub(super) fn variable(&self) -> String {
        variable(self.name)
    }

    /// The name inside its section: `wait_ms` for `write.wait_ms`.
    pub(super) fn short_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, short)| short)
    }

    /// The description as one paragraph.
    pub(super) fn description(&self) -> String {
        paragraph(self.doc)
    }

    /// The default as it is written in the file, or what holds where nothing is set.
    pub(super) fn default_text(&self) -> String {
        match self.traits.default {
            Default::Nothing(instead) => instead.to_owned(),
            default => super::values::Plain::from(default).toml().unwrap_or_default(),
        }
    }

    /// What may be written, in words.
    pub(super) fn values_text(&self) -> String {
        match self.traits.kind {
            Kind::Whole { low, high } => format!("{low} to {high}{}", self.unit()),
            Kind::Boolean => "true or false".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Address => "an IP address with a port".to_owned(),
            Kind::Word(words) => {
                words().iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
            }
            Kind::Text(_) => "a text".to_owned(),
            Kind::List(_) => "a list of texts".to_owned(),
        }
    }

    /// The unit that the end of the name tells.
    fn unit(&self) -> &'static str {
        match self.name.rsplit(['_', '.']).next() {
            Some("ms") => " ms",
            Some("s") => " s",
            Some("bytes") => " bytes",
            Some("mb") => " MiB",
            Some("percent") => " %",
            _ => "",
        }
    }
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("ISOCHROME_{}", key.replace('.', "_").to_uppercase())
}

/// Lines of documentation as one paragraph.
pub(super) fn paragraph(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Defines the keys above all sections (the fields of `General`), and a type for each section. An entry reads
/// `/// What it is for.` `field: Type = "name_in_the_file", kind(default, range).live();`
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])*
        $section:literal $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident: $type:ty = $key:literal, $spec:expr; )*
        }
    )*) => {
        $(
            $(#[doc = $section_doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $( $(#[doc = $doc])* pub $field: $type, )*
            }

            impl $name {
                const KEYS: &'static [Key] = &[$( Key {
                    name: concat!($section, $key),
                    doc: concat!($($doc, "\n"),*),
                    traits: { const SPEC: Spec<$type> = $spec; SPEC.traits },
                } ),*];

                pub(super) fn from_values(values: &Values) -> Self {
                    Self {$( $field: {
                        const SPEC: Spec<$type> = $spec;
                        (SPEC.convert)(values.plain(concat!($section, $key)))
                    } ),*}
                }
            }
        )*

        /// Every section, with every key that holds one value. `instances` is a list and handled apart.
        pub(super) const SECTIONS: &[Section] = &[$( Section {
            prefix: $section,
            doc: concat!($($section_doc, "\n"),*),
            keys: $name::KEYS,
        } ),*];
    };
}

pub(super) use sections;
