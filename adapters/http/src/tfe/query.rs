//! Query strings, read leniently: what is unknown or malformed counts as absent.

use actix_web::HttpRequest;
use opentaco_domain::page::PageRequest;

/// The decoded pairs of a query.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a request.
    pub(super) fn of(request: &HttpRequest) -> Self {
        Self(serde_urlencoded::from_str(request.query_string()).unwrap_or_default())
    }

    /// The first value of a parameter, unless it is empty.
    pub(super) fn get<'q>(&'q self, name: &str) -> Option<&'q str> {
        self.all(name).next()
    }

    /// The values of a parameter that are not empty.
    fn all<'q, 'n>(&'q self, name: &'n str) -> impl Iterator<Item = &'q str> + use<'q, 'n> {
        let named = self.0.iter().filter(move |(key, value)| key == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// The items of a parameter that is a list with commas.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let items = self.all(name).flat_map(|value| value.split(','));
        items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// The tags of `filter[tagged][n][key]` and `filter[tagged][n][value]`, in no order; one without a value is a key that
    /// may have any.
    pub(super) fn tagged(&self) -> Vec<(String, Option<String>)> {
        let keys = self.0.iter().filter_map(|(name, key)| Some((name.strip_suffix("[key]")?, key)));
        let keys = keys.filter(|(filter, key)| filter.starts_with("filter[tagged][") && !key.is_empty());
        let value = |filter| self.get(&format!("{filter}[value]")).map(str::to_owned);
        keys.map(|(filter, key)| (key.clone(), value(filter))).collect()
    }

    /// The page that is asked for, if any is.
    pub(super) fn page(&self) -> Option<PageRequest> {
        let number = |name| self.get(name).and_then(|text| text.parse().ok());
        let (page, size) = (number("page[number]"), number("page[size]"));
        (page.is_some() || size.is_some()).then(|| PageRequest::new(page, size))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&TestRequest::with_uri(&format!("/x?{text}")).to_http_request())
    }

    #[test]
    fn what_terraform_sends_is_understood() {
        let query =
            query("search%5Btags%5D=app%2Cnet&TagBindings=%7B+app+web%7D&TagBindings=x&page%5Bnumber%5D=2");
        assert_eq!(query.list("search[tags]"), ["app", "net"]);
        assert_eq!(query.page(), Some(PageRequest::new(Some(2), None)));
    }

    #[test]
    fn tags_with_values_are_paired_by_their_number() {
        let query = query(
            "filter[tagged][1][value]=b&filter[tagged][0][key]=x&filter[tagged][0][value]=a&filter[tagged][1][key]=y&filter[tagged][2][key]=z",
        );
        let tagged = query.tagged();
        let tagged: Vec<_> = tagged.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(tagged, [("x", Some("a")), ("y", Some("b")), ("z", None)]);
    }

    #[test]
    fn junk_counts_as_absent() {
        for junk in ["%", "%zz=%f", "&&==&", "page[number]=-1", "page[size]=ten&search[tags]=,,", "%ff=%fe"] {
            assert_eq!(query(junk).page(), None, "{junk}");
            assert!(query(junk).list("search[tags]").is_empty(), "{junk}");
        }
    }
}
