//! Random bodies of record writes, from plain to nasty.

use fastrand::Rng;

/// Members of metadata that Chroma, or we, refuse.
const ODD_MEMBERS: &[&str] = &[
    r#""":1"#,
    r#""$a":1"#,
    r#""\u0023a":1"#,
    r#""k":{}"#,
    r#""k":1e400"#,
    r#""k":[1,"x"]"#,
    r#""k":[null]"#,
    r#""k":[[1]]"#,
    r#""k":null"#,
    r#""k":{"indices":[1],"values":[1]}"#,
    r#""k":{"indices":[2,1],"values":[1,2]}"#,
    r#""k":{"indices":[1],"values":[1,2],"tokens":["t"]}"#,
    r#""k":{"indices":[1],"values":[1]},"k":1"#,
    r#""k":{"indices":[1],"values":[1],"tokens":[1]},"k":1"#,
    r#""chroma:document":5"#,
    r#""chroma\u003auri":["x"]"#,
    r#""chroma:x":1"#,
    r#""\u0063hroma:document":null"#,
    r#""chroma:document":"d","chroma:document":1.5"#,
    r#""k":{"#,
    r#""k":[1.5,2]"#,
    r#""k":"\ud800""#,
    r#""k":{"indices":[],"values":[],"#,
    r#""k":{"#,
];

/// Keys of metadata that Chroma takes.
const KEYS: &[&str] = &[
    "\"k\"",
    "\"l\"",
    "\"\\u006b\"",
    "\"ключ\"",
    "\"a.b\"",
    "\" \"",
    "\"k#\"",
    "\"\\u0000\"",
    "\"Chroma:x\"",
];

/// Values of metadata that Chroma takes.
const VALUES: &[&str] = &[
    "1",
    "-7",
    "2.5",
    "1.0",
    "1e-3",
    "true",
    "false",
    "\"x\"",
    "\"\"",
    r#""\u0000""#,
    "[]",
    "[1,2]",
    "[\"x\",\"y\"]",
    "[true]",
    "[1.5,2.5]",
    "999999999999999999",
    "-0.0",
    "123456789012345678901234567890.5",
];

/// Makes bodies as text, so that what no JSON library would write can stand in them.
pub(crate) struct Bodies {
    pub(crate) random: Rng,
    /// Out of a hundred choices so many are nasty.
    pub(crate) nasty: u8,
}

impl Bodies {
    fn nasty(&mut self) -> bool {
        self.random.u8(..100) < self.nasty
    }

    fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.usize(..from.len())]
    }

    /// A record write of one of three kinds: its operation and its body.
    pub(crate) fn write(&mut self) -> (&'static str, String) {
        let operation = ["add", "upsert", "update"][self.random.usize(..3)];
        let count = if self.nasty() { 0 } else { self.random.usize(1..5) };
        let mut members = vec![format!("\"ids\":{}", self.list(count, Self::id))];
        if operation != "update" || self.random.bool() {
            members.push(format!("\"embeddings\":{}", self.embeddings(operation, count)));
        }
        for (key, element) in [
            ("documents", Self::document as fn(&mut Self) -> String),
            ("uris", Self::document),
            ("metadatas", if operation == "add" { Self::metadata } else { Self::update_metadata }),
        ] {
            if self.random.bool() {
                members.push(format!("\"{key}\":{}", self.list(count, element)));
            }
        }
        if self.nasty() {
            let extra = [
                r#""documents":null"#,
                r#""uris":null"#,
                r#""metadatas":null"#,
                r#""ids":["a"]"#,
                r#""x":1e999"#,
                r#""x":{"\ud800":[]}"#,
                r#""\u0069ds":["b"]"#,
                r#""metadatas":[{}]"#,
                r#""where":{}"#,
                "5",
                "\"x\"",
            ];
            members.push(self.choose(&extra).to_owned());
        }
        self.random.shuffle(&mut members);
        (operation, self.whole(&members))
    }

    fn whole(&mut self, members: &[String]) -> String {
        let separator = self.choose(&[",", " , ", ",\n\t"]);
        let body = format!("{{{}}}", members.join(separator));
        match self.random.u8(..40) {
            0 if self.nasty > 0 => body[..body.len() - 1].to_owned(),
            1 if self.nasty > 0 => format!("{body}{{}}"),
            2 => format!(" \n{body}\t"),
            _ => body,
        }
    }

    fn list(&mut self, count: usize, element: impl Fn(&mut Self) -> String) -> String {
        let count = if self.nasty > 0 && self.random.u8(..60) == 0 { count + 1 } else { count };
        let elements: Vec<String> = (0..count).map(|_| element(self)).collect();
        format!("[{}]", elements.join(self.choose(&[",", ", "])))
    }

    fn id(&mut self) -> String {
        if self.random.u8(..30) == 0 && self.nasty() {
            return self
                .choose(&["\"\"", "5", "null", r#""\ud800""#, r#""\u0000isochrome:dimension""#])
                .to_owned();
        }
        let plain = [
            "\"a\"",
            "\"b\"",
            "\"c\"",
            "\"d\"",
            "\"e\"",
            r#""\u0061""#,
            r#""\u0000é\n""#,
            "\"日本\"",
            r#""\ud83d\ude00""#,
        ];
        self.choose(&plain).to_owned()
    }

    fn embeddings(&mut self, operation: &str, count: usize) -> String {
        let base64 = self.random.bool();
        let nulls = operation == "update";
        self.list(count, |bodies| {
            if nulls && bodies.random.u8(..4) == 0 {
                return "null".to_owned();
            }
            if bodies.random.u8(..10) == 0 && bodies.nasty() {
                let odd = [
                    "[]",
                    "[1]",
                    "[1,2,3]",
                    "null",
                    "[1e39,1]",
                    "[1e+2,2]",
                    "[true,1]",
                    "[[1],2]",
                    "\"\"",
                    "\"AAAA\"",
                    "\"AADAfwAAgD8=\"",
                    "\"AACAPwAAAEF=\"",
                    "\"AACAPwAAAEA\"",
                    r#""\u0041ACAPwAAAEA=""#,
                    "[1,\"2\"]",
                    "[999999999999999999999999999999999999999,1]",
                    "\"AACAPwAAAEAAAEBA\"",
                    "[1,2],[3,4]",
                ];
                return bodies.choose(&odd).to_owned();
            }
            let plain: &[&str] = if base64 {
                &["\"AACAPwAAAEA=\"", "\"zczMPZqZmT4=\"", r#""\/\/9\/fwAAAAA=""#]
            } else {
                &[
                    "[1,2]",
                    "[0.1,-0.3]",
                    "[ 1.5e-7 , -0 ]",
                    "[99999999999999999999999999999999999999,1e-400]",
                    "[2E-3,0.0]",
                ]
            };
            bodies.choose(plain).to_owned()
        })
    }

    fn document(&mut self) -> String {
        if self.random.u8(..20) == 0 && self.nasty() {
            return self.choose(&["5", r#""\ud800""#, "[]"]).to_owned();
        }
        self.choose(&["null", "\"text\"", "\"\"", r#""\u0000\"""#, "\"zoë\"", r#""{\"ids\":[]}""#]).to_owned()
    }

    fn metadata(&mut self) -> String {
        self.metadata_with(&[])
    }

    fn update_metadata(&mut self) -> String {
        self.metadata_with(&["null"])
    }

    fn metadata_with(&mut self, more: &[&str]) -> String {
        if self.random.u8(..4) == 0 {
            return "null".to_owned();
        }
        let members: Vec<String> = (0..self.random.usize(..4)).map(|_| self.metadata_member(more)).collect();
        format!("{{{}}}", members.join(","))
    }

    fn metadata_member(&mut self, more: &[&str]) -> String {
        if self.random.u8(..10) == 0 && self.nasty() {
            return self.choose(ODD_MEMBERS).to_owned();
        }
        let text_only = self.random.u8(..15) == 0;
        let key = if text_only {
            self.choose(&["\"chroma:document\"", "\"chroma:uri\""])
        } else {
            self.choose(KEYS)
        };
        let value = if text_only { "\"t\"" } else { self.choose(&[VALUES, more].concat()) };
        format!("{key} : {value}")
    }
}
