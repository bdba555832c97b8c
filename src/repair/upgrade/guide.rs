//! The steps of an upgrade for servers that Isochrome does not start itself.

/// The steps for these servers, by name and address, in the order in which they should be upgraded.
pub(super) fn text(servers: &[(&str, &str)]) -> String {
    let mut lines = vec![
        "Isochrome does not start these servers, so it can't upgrade them. Without clients noticing, one after the other:"
            .to_owned(),
        "  isochrome verify".to_owned(),
    ];
    for (place, (name, address)) in servers.iter().enumerate() {
        lines.extend([
            format!("  isochrome maintenance {name}"),
            format!("    stop the server at {address}, upgrade it, start it"),
            format!("  isochrome resume {name}"),
            format!("    wait until isochrome status says that {name} is serving"),
            "  isochrome verify".to_owned(),
        ]);
        if place == 0 && servers.len() > 1 {
            lines.push("    use it for a while before the next one".to_owned());
        }
    }
    lines.push(
        "Should one not come back well: stop it, empty its data directory and start it at the old version; it is filled \
         again from the others. Never start an older Chroma on files that a newer one has opened."
            .to_owned(),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_name_the_servers_in_their_order() {
        let text = text(&[("replica", "b:8000"), ("primary", "a:8000")]);
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(place("maintenance replica") < place("b:8000"));
        assert!(place("resume replica") < place("for a while"));
        assert!(place("for a while") < place("maintenance primary"));
        assert!(place("a:8000") < place("resume primary"));
    }
}
