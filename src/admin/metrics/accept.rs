//! Which form of the figures a client wants.

/// The forms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Prometheus text format 0.0.4.
    Plain,
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
    /// The predecessor's.
    Json,
}

/// The form that an `Accept` header prefers; of equals the one named first, and text where nothing fits.
pub(super) fn preferred(accept: &str) -> Form {
    let mut best = (Form::Plain, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let form = match parts.next().unwrap_or("").to_ascii_lowercase().as_str() {
            "text/plain" | "text/*" | "*/*" => Form::Plain,
            "application/openmetrics-text" => Form::OpenMetrics,
            "application/json" => Form::Json,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        if let Ok(quality) = quality
            && quality > best.1
        {
            best = (form, quality);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_chooses_by_quality_and_order() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3";
        for (accept, form) in [
            ("", Form::Plain),
            ("*/*", Form::Plain),
            ("image/png", Form::Plain),
            (prometheus, Form::OpenMetrics),
            ("text/plain;version=0.0.4", Form::Plain),
            ("application/json", Form::Json),
            ("Application/JSON, text/plain, */*", Form::Json),
            ("text/plain, application/json", Form::Plain),
            ("text/plain;q=0.1, application/json;q=0.2", Form::Json),
            ("application/json;q=0", Form::Plain),
        ] {
            assert_eq!(preferred(accept), form, "{accept}");
        }
    }
}
