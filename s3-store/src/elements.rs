//! Elements of documents that the protocol layer does not know. It passes by those right beneath the root, and takes no document with others:
//! so these documents are kept while they are read, and looked at once more.

use engine::Tags;
use http::Extensions;
use s3s::dto::{self, ServerSideEncryptionConfiguration, ServerSideEncryptionRule};
use s3s::xml::{DeError, DeResult, Deserializer};
use s3s::{S3Result, s3_error};

use crate::context::RequestContext;
use crate::error::{from_engine, not_implemented};

/// The document of a request, where it is one of those that are kept.
pub(crate) fn kept(extensions: &Extensions) -> Vec<u8> {
    extensions.get::<RequestContext>().map(RequestContext::document).unwrap_or_default()
}

/// Passes by what stands in an element.
fn skip(reader: &mut Deserializer<'_>) -> DeResult {
    reader.for_each_element(|reader, _| skip(reader))
}

/// Refuses a document with elements beneath its root that are not known: success would say that they were kept.
pub(crate) fn refuse_others(document: &[u8], root: &str, known: &[&str]) -> S3Result {
    let mut other = None;
    let mut reader = Deserializer::new(document);
    let look = |reader: &mut Deserializer<'_>, name: &[u8]| {
        let name = String::from_utf8_lossy(name);
        if !known.contains(&name.as_ref()) {
            other.get_or_insert_with(|| name.into_owned());
        }
        skip(reader)
    };
    if !document.is_empty() {
        reader.named_element(root, |reader| reader.for_each_element(look)).map_err(|_| s3_error!(MalformedXML))?;
    }
    match other {
        Some(other) => Err(not_implemented(&format!("The element {other}"))),
        None => Ok(()),
    }
}

/// The tags in a document that makes a bucket; `None` where it has none.
pub(crate) fn tags_of_new_bucket(document: &[u8]) -> S3Result<Option<Tags>> {
    const ROOT: &str = "CreateBucketConfiguration";
    // What else it may have is about buckets in one zone, whose names are other ones.
    refuse_others(document, ROOT, &["LocationConstraint", "Tags"])?;
    if document.is_empty() {
        return Ok(None);
    }
    let mut tags: Option<Vec<dto::Tag>> = None;
    let read = |reader: &mut Deserializer<'_>| {
        reader.for_each_element(|reader, name| match name {
            b"Tags" if tags.is_none() => {
                tags = Some(reader.list_content("Tag")?);
                Ok(())
            }
            b"Tags" => Err(DeError::DuplicateField),
            _ => skip(reader),
        })
    };
    Deserializer::new(document).named_element(ROOT, read).map_err(|_| s3_error!(MalformedXML))?;
    let pairs = tags.filter(|tags| !tags.is_empty()).map(crate::tagging::pairs).transpose()?;
    pairs.map(Tags::of_bucket).transpose().map_err(from_engine)
}

/// A document that sets how a bucket's objects are encrypted, and which ways it blocks besides; `None` where it blocks none, or cannot be
/// read.
pub(crate) fn encryption_that_blocks(document: &[u8]) -> Option<(ServerSideEncryptionConfiguration, Vec<String>)> {
    let (mut rules, mut blocked) = (Vec::new(), None);
    let read = |reader: &mut Deserializer<'_>| {
        reader.for_each_element(|reader, name| match name {
            b"Rule" => {
                rules.push(encryption_rule(reader, &mut blocked)?);
                Ok(())
            }
            _ => skip(reader),
        })
    };
    Deserializer::new(document).named_element("ServerSideEncryptionConfiguration", read).ok()?;
    Some((ServerSideEncryptionConfiguration { rules }, blocked?))
}

fn encryption_rule(
    reader: &mut Deserializer<'_>,
    blocked: &mut Option<Vec<String>>,
) -> DeResult<ServerSideEncryptionRule> {
    let mut rule = ServerSideEncryptionRule::default();
    reader.for_each_element(|reader, name| match name {
        b"ApplyServerSideEncryptionByDefault" if rule.apply_server_side_encryption_by_default.is_none() => {
            rule.apply_server_side_encryption_by_default = Some(reader.content()?);
            Ok(())
        }
        b"BucketKeyEnabled" if rule.bucket_key_enabled.is_none() => {
            rule.bucket_key_enabled = Some(reader.content()?);
            Ok(())
        }
        b"BlockedEncryptionTypes" if blocked.is_none() => {
            *blocked = Some(reader.list_content("EncryptionType")?);
            Ok(())
        }
        _ => Err(DeError::UnexpectedTagName),
    })?;
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: S3Result<T>) -> String {
        result.map_or_else(|error| error.code().as_str().to_owned(), |_| "OK".to_owned())
    }

    #[test]
    fn tags_of_a_new_bucket_are_read() {
        let tags = |inner: &str| {
            let document = format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>");
            tags_of_new_bucket(document.as_bytes()).map(|tags| tags.map(|tags| tags.pairs().to_vec()))
        };
        let tag = "<Tag><Key>a</Key><Value>b</Value></Tag>";
        assert_eq!(tags("<LocationConstraint>lan</LocationConstraint>").expect("no tags"), None);
        assert_eq!(tags("<Tags></Tags>").expect("no tags"), None);
        let one = Some(vec![("a".to_owned(), "b".to_owned())]);
        assert_eq!(tags(&format!("<Tags> {tag} </Tags>")).expect("a tag"), one);
        assert_eq!(code(tags(&format!("<Tags>{tag}{tag}</Tags>"))), "InvalidTag");
        assert_eq!(code(tags("<Tags><Tag><Key>a</Key></Tag></Tags>")), "MalformedXML");
        assert_eq!(code(tags(&format!("<Tags>{tag}</Tags><Tags>{tag}</Tags>"))), "MalformedXML");
        assert_eq!(code(tags("<Bucket><Type>Directory</Type></Bucket>")), "NotImplemented");
        assert_eq!(tags_of_new_bucket(b"").expect("no document"), None);
    }

    #[test]
    fn other_elements_are_refused_right_beneath_the_root() {
        let refused = |document: &str| code(refuse_others(document.as_bytes(), "Retention", &["Mode"]));
        assert_eq!(refused("<Retention><Mode><EventHold>ON</EventHold></Mode></Retention>"), "OK");
        assert_eq!(refused("<Retention/>"), "OK");
        assert_eq!(refused("<Retention><EventHold>ON</EventHold></Retention>"), "NotImplemented");
        assert_eq!(refused("<Retention><Mode></Retention>"), "MalformedXML");
    }

    #[test]
    fn what_a_bucket_blocks_is_read() {
        let read = |inner: &str| {
            let rule = format!(
                "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                 </ApplyServerSideEncryptionByDefault>{inner}</Rule></ServerSideEncryptionConfiguration>"
            );
            encryption_that_blocks(rule.as_bytes()).map(|(configuration, blocked)| (configuration.rules.len(), blocked))
        };
        let blocking = |kind: &str| {
            format!("<BlockedEncryptionTypes><EncryptionType>{kind}</EncryptionType></BlockedEncryptionTypes>")
        };
        assert_eq!(read(&blocking("NONE")), Some((1, vec!["NONE".to_owned()])));
        assert_eq!(read(&blocking("SSE-C")), Some((1, vec!["SSE-C".to_owned()])));
        assert_eq!(read(""), None, "the protocol layer takes it");
        assert_eq!(read(&format!("{}<Other/>", blocking("NONE"))), None);
    }
}
