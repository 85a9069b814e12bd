//! The answer to a listing of current objects, written at once: a page has a thousand entries, for which the protocol layer's types would
//! need ten thousand allocations. It also has what MinIO adds when `metadata=true` is asked for.

use std::fmt::Write as _;

use engine::{Description, ListEntry, ListPage, ListedObject, Tags};
use s3s::dto::Owner;
use time::OffsetDateTime;

use super::Coding;
use crate::answer::{Document, push_escaped};
use crate::headers::storage_class_name;

/// Room for an entry, which most stay below.
const ENTRY_SIZE_BYTES: usize = 320;
const XMLNS: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A `ListBucketResult` that is being written.
pub(super) struct ListDocument {
    xml: String,
    coding: Coding,
}

impl ListDocument {
    pub(super) fn new(page: &ListPage, coding: Coding) -> Self {
        let mut xml = String::with_capacity(1024 + page.entries.len() * ENTRY_SIZE_BYTES);
        // Writing into a string cannot fail, here and below.
        let _ = write!(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"{XMLNS}\">");
        Self { xml, coding }
    }

    /// An element with a text that is escaped; an empty one without a text.
    pub(super) fn element(mut self, name: &str, text: Option<&str>) -> Self {
        if let Some(text) = text {
            push_element(&mut self.xml, name, text);
        }
        self
    }

    /// An element with a name of an object or the like, in the coding that the request asks for.
    pub(super) fn name(self, name: &str, text: Option<&str>) -> Self {
        let coded = text.map(|text| self.coding.encode(text));
        self.element(name, coded.as_deref())
    }

    /// An element with a number, `true` or `false`.
    pub(super) fn plain(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let _ = write!(self.xml, "<{name}>{value}</{name}>");
        self
    }

    /// Writes the entries and ends the document.
    pub(super) fn end(mut self, page: &ListPage, owner: Option<&Owner>) -> Document {
        let objects = page.entries.iter().filter_map(|entry| match entry {
            ListEntry::Object(object) => Some(object),
            ListEntry::CommonPrefix(_) => None,
        });
        for object in objects {
            self.push_object(object, owner);
        }
        for entry in &page.entries {
            if let ListEntry::CommonPrefix(prefix) = entry {
                self.xml.push_str("<CommonPrefixes>");
                push_element(&mut self.xml, "Prefix", &self.coding.encode(prefix));
                self.xml.push_str("</CommonPrefixes>");
            }
        }
        self.xml.push_str("</ListBucketResult>");
        Document(self.xml.into())
    }

    fn push_object(&mut self, object: &ListedObject, owner: Option<&Owner>) {
        let xml = &mut self.xml;
        xml.push_str("<Contents>");
        match self.coding {
            Coding::Plain => push_element(xml, "Key", object.key.as_str()),
            Coding::Url => push_element(xml, "Key", &self.coding.encode(object.key.as_str())),
        }
        xml.push_str("<LastModified>");
        push_time(xml, object.modified_us);
        xml.push_str("</LastModified><ETag>&quot;");
        push_escaped(xml, &object.etag);
        let class = storage_class_name(object.storage_class);
        let _ = write!(xml, "&quot;</ETag><Size>{}</Size><StorageClass>{class}</StorageClass>", object.size_bytes);
        if let Some(owner) = owner {
            push_owner(xml, owner);
        }
        if let Some(description) = &object.description {
            push_description(xml, description);
        }
        xml.push_str("</Contents>");
    }
}

fn push_element(xml: &mut String, name: &str, text: &str) {
    for part in ["<", name, ">"] {
        xml.push_str(part);
    }
    push_escaped(xml, text);
    for part in ["</", name, ">"] {
        xml.push_str(part);
    }
}

fn push_owner(xml: &mut String, owner: &Owner) {
    xml.push_str("<Owner>");
    for (name, text) in [("ID", &owner.id), ("DisplayName", &owner.display_name)] {
        if let Some(text) = text {
            push_element(xml, name, text);
        }
    }
    xml.push_str("</Owner>");
}

/// A time in whole seconds, as everywhere in this protocol.
fn push_time(xml: &mut String, us: i64) {
    let at = OffsetDateTime::from_unix_timestamp(us.max(0) / 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let _ = write!(xml, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z", u8::from(month));
}

/// MinIO's `UserMetadata` has an element for each header; what can be no name of an element is left out.
fn push_description(xml: &mut String, description: &Description) {
    let headers = &description.headers;
    xml.push_str("<UserMetadata>");
    for (name, value) in [
        ("cache-control", &headers.cache_control),
        ("content-disposition", &headers.content_disposition),
        ("content-encoding", &headers.content_encoding),
        ("content-language", &headers.content_language),
        ("content-type", &headers.content_type),
        ("expires", &headers.expires),
    ] {
        if let Some(value) = value {
            push_element(xml, name, value);
        }
    }
    for (name, value) in &description.user_metadata {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.bytes().all(is_name) {
            push_element(xml, &format!("X-Amz-Meta-{}", capitalized(name)), value);
        }
    }
    xml.push_str("</UserMetadata>");
    if let Some(tags) = description.tags.as_ref().filter(|tags| !tags.is_empty()) {
        push_element(xml, "UserTags", &query_of(tags));
    }
}

/// A header's name as MinIO writes it: each word with a capital.
fn capitalized(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut chars = word.chars();
        chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_uppercase(), chars.as_str()))
    });
    words.collect::<Vec<_>>().join("-")
}

fn query_of(tags: &Tags) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(tags.pairs()).finish()
}

#[cfg(test)]
mod tests {
    use engine::{ObjectHeaders, ObjectKey, StorageClass};

    use super::*;

    fn object(key: &str) -> ListedObject {
        ListedObject {
            key: ObjectKey::new(key).expect("a key"),
            version_id: None,
            size_bytes: 7,
            etag: "e".to_owned(),
            modified_us: 1_727_776_800_999_999,
            storage_class: StorageClass::Standard,
            latest: true,
            delete_marker: false,
            description: None,
        }
    }

    fn document(entries: Vec<ListEntry>, coding: Coding) -> String {
        let page = ListPage { entries, truncated: false };
        let document = ListDocument::new(&page, coding).name("Prefix", Some("a&b")).plain("KeyCount", 2);
        String::from_utf8(document.end(&page, None).0.to_vec()).expect("text")
    }

    #[test]
    fn objects_come_before_common_prefixes_and_texts_are_escaped() {
        let entries = vec![ListEntry::CommonPrefix("a&b/".to_owned()), ListEntry::Object(object("a&b<c"))];
        assert_eq!(
            document(entries, Coding::Plain),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Prefix>a&amp;b</Prefix><KeyCount>2</KeyCount>\
             <Contents><Key>a&amp;b&lt;c</Key><LastModified>2024-10-01T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>a&amp;b/</Prefix></CommonPrefixes></ListBucketResult>"
        );
    }

    #[test]
    fn names_are_coded_where_that_is_asked_for() {
        let xml = document(vec![ListEntry::Object(object("a b"))], Coding::Url);
        assert!(xml.contains("<Prefix>a%26b</Prefix>") && xml.contains("<Key>a%20b</Key>"), "{xml}");
    }

    #[test]
    fn a_description_has_an_element_for_each_header_that_can_be_one() {
        let headers = ObjectHeaders { content_type: Some("text/x".to_owned()), ..ObjectHeaders::default() };
        let user_metadata = [("file-name", "<ä>"), ("odd!name", "x")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let tags = Tags::of_object(vec![("k 1".to_owned(), "v+=".to_owned())]).expect("tags");
        let description = Description { headers, user_metadata: user_metadata.to_vec(), tags: Some(tags) };
        let mut xml = String::new();
        push_description(&mut xml, &description);
        assert_eq!(
            xml,
            "<UserMetadata><content-type>text/x</content-type><X-Amz-Meta-File-Name>&lt;ä&gt;</X-Amz-Meta-File-Name>\
             </UserMetadata><UserTags>k+1=v%2B%3D</UserTags>"
        );
    }
}
