//! The wildcards of policies: `*` stands for any number of characters, `?` for one.

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Any number of characters.
    Many,
    /// One character, whichever it is.
    One,
    /// This character.
    Is(char),
}

/// The values of a fact, by its name in lower case.
pub(super) type Facts<'a> = &'a dyn Fn(&str) -> Option<Vec<String>>;

/// Nothing is known.
pub(super) const NO_FACTS: Facts<'static> = &|_| None;

/// Whether a text is of a pattern, in which `${name}` stands for the value of a fact: for its characters, wildcards among them. One that the
/// request does not have stands for itself, and so for nothing that is there; `${*}` and the like are the characters themselves.
///
/// It takes time in the product of both lengths at most, and memory in the length of the text and of the pattern, whatever the values are.
pub(super) fn matches(pattern: &str, text: &str, facts: Facts<'_>) -> bool {
    let text: Vec<char> = text.chars().collect();
    read(pattern, text.len(), facts).is_some_and(|tokens| fits(&tokens, &text))
}

/// The parts of a pattern; `None` when they want more characters than there are.
fn read(pattern: &str, length_max: usize, facts: Facts<'_>) -> Option<Vec<Token>> {
    let mut tokens = Tokens { tokens: Vec::new(), room: length_max };
    for_each_part(pattern, facts, |part, is_literal| tokens.add(part, is_literal))?;
    Some(tokens.tokens)
}

/// Goes through a text part by part, with variables filled in, and says of each whether it is meant as it is. Ends when `take` wants no more.
fn for_each_part(text: &str, facts: Facts<'_>, mut take: impl FnMut(&str, bool) -> Option<()>) -> Option<()> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        take(before, false)?;
        let Some((name, behind)) = after.split_once('}') else {
            take("${", true)?;
            rest = after;
            continue;
        };
        match (name, facts(&name.to_ascii_lowercase()).as_deref()) {
            ("*" | "?" | "$", _) => take(name, true)?,
            (_, Some([value])) => take(value, true)?,
            (_, Some(_) | None) => ["${", name, "}"].into_iter().try_for_each(|part| take(part, true))?,
        }
        rest = behind;
    }
    take(rest, false)
}

struct Tokens {
    tokens: Vec<Token>,
    /// How many characters may still be wanted.
    room: usize,
}

impl Tokens {
    fn add(&mut self, part: &str, is_literal: bool) -> Option<()> {
        for character in part.chars() {
            let token = match character {
                '*' if !is_literal => Token::Many,
                '?' if !is_literal => Token::One,
                other => Token::Is(other),
            };
            match token {
                // Several in a row are as good as one.
                Token::Many if self.tokens.last() == Some(&Token::Many) => continue,
                Token::Many => {}
                Token::One | Token::Is(_) => self.room = self.room.checked_sub(1)?,
            }
            self.tokens.push(token);
        }
        Some(())
    }
}

fn fits(pattern: &[Token], text: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stands, and what it has swallowed so far.
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(Token::Many) => {
                star = Some((at, from));
                at += 1;
            }
            Some(Token::One) => (at, from) = (at + 1, from + 1),
            Some(Token::Is(one)) if *one == text[from] => (at, from) = (at + 1, from + 1),
            Some(Token::Is(_)) | None => {
                let Some((star_at, swallowed)) = star else { return false };
                star = Some((star_at, swallowed + 1));
                at = star_at + 1;
                from = swallowed + 1;
            }
        }
    }
    pattern[at..].iter().all(|one| *one == Token::Many)
}

/// A text in which variables are filled in, for comparisons without wildcards.
pub(super) fn filled(text: &str, facts: Facts<'_>) -> String {
    let mut filled = String::with_capacity(text.len());
    // It wants every part, so that it always comes to the end.
    let _ = for_each_part(text, facts, |part, _| {
        filled.push_str(part);
        Some(())
    });
    filled
}

/// The same without regard to case, as actions are compared.
pub(super) fn matches_any_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase(), NO_FACTS)
}

/// Whether a text has a wildcard or a variable.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?']) || text.contains("${")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_what_they_should() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("*.jpg", "photo.JPG", false),
            ("ä?ü", "äöü", true),
        ] {
            assert_eq!(matches(pattern, text, NO_FACTS), fits, "{pattern} {text}");
        }
        assert!(matches_any_case("s3:getobject*", "s3:GetObjectVersion"));
    }

    #[test]
    fn values_are_characters_and_no_wildcards() {
        let facts: Facts<'_> = &|name| match name {
            "aws:username" => Some(vec!["ada".to_owned()]),
            "aws:referer" => Some(vec!["*".to_owned()]),
            "aws:two" => Some(vec!["a".to_owned(), "b".to_owned()]),
            _ => None,
        };
        for (pattern, text, fits) in [
            ("home/${aws:UserName}/*", "home/ada/x", true),
            ("home/${aws:UserName}/*", "home/eve/x", false),
            ("${aws:referer}", "anything", false),
            ("${aws:referer}", "*", true),
            ("${aws:two}", "a", false),
            ("${aws:unknown}", "", false),
            ("${aws:unknown}", "${aws:unknown}", true),
            ("a${*}${?}${$}", "a*?$", true),
            ("a${", "a${", true),
        ] {
            assert_eq!(matches(pattern, text, facts), fits, "{pattern} {text}");
        }
        assert_eq!(filled("${aws:username}/${aws:two}${*}${", facts), "ada/${aws:two}*${");
    }

    #[test]
    fn what_is_longer_than_the_text_is_not_read_to_its_end() {
        let facts: Facts<'_> = &|_| Some(vec!["x".repeat(400_000)]);
        assert_eq!(read(&"${aws:useragent}".repeat(1_000), 10, facts), None);
        assert_eq!(read("a***b", 2, NO_FACTS).map(|tokens| tokens.len()), Some(3));
        assert_eq!(read("abc", 2, NO_FACTS), None);
    }
}
