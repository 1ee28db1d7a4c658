//! Lenient reading of providers' JSON, without copying.
//!
//! Vendors leave fields out, send `null`, numbers as text, a string where an object belongs,
//! the same key twice. None of that may end a stream, so the types here accept any JSON value:
//! what does not fit is as good as absent. Only text that is not JSON is an error.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

/// Declares a struct whose fields are all optional, with `Default` and a lenient `Deserialize`:
/// unknown fields are skipped, the last of several equal keys wins, and anything but an object
/// gives the default. Every field's type must itself accept any JSON value. The name on the wire
/// is the field's own, or the one given as `field = "name"`.
macro_rules! lenient_object {
    ($(#[$attr:meta])* $vis:vis struct $name:ident<$life:lifetime> $fields:tt) => {
        $crate::provider::json::lenient_object! { @ $(#[$attr])* [$vis] [$name] [$life] [$life] $fields }
    };
    ($(#[$attr:meta])* $vis:vis struct $name:ident $fields:tt) => {
        $crate::provider::json::lenient_object! { @ $(#[$attr])* [$vis] [$name] ['de] [] $fields }
    };
    (@ $(#[$attr:meta])* [$vis:vis] [$name:ident] [$de:lifetime] [$($life:lifetime)?] {
        $($(#[$doc:meta])* $field:ident $(= $wire:literal)?: $type:ty,)+
    }) => {
        $(#[$attr])*
        #[derive(Debug, Default)]
        $vis struct $name<$($life)?> { $($(#[$doc])* $vis $field: $type,)+ }

        impl<$de> $crate::provider::json::ReadObject<$de> for $name<$($life)?> {
            fn read_field<A: serde::de::MapAccess<$de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
                $(
                    #[allow(unused_variables)]
                    let name = stringify!($field);
                    $(let name = $wire;)?
                    if key == name {
                        self.$field = map.next_value()?;
                        return Ok(());
                    }
                )+
                map.next_value::<serde::de::IgnoredAny>().map(drop)
            }
        }

        impl<$de> serde::Deserialize<$de> for $name<$($life)?> {
            fn deserialize<D: serde::Deserializer<$de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::provider::json::read_object(deserializer)
            }
        }
    };
}
pub(crate) use lenient_object;

/// What [`lenient_object`] writes for each struct: how one field is read.
pub(crate) trait ReadObject<'de>: Default {
    fn read_field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

pub(crate) fn read_object<'de, T: ReadObject<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

struct ObjectVisitor<T>(PhantomData<T>);

/// The visitor methods for JSON values that do not fit: each gives the default.
macro_rules! otherwise_default {
    ($($method:ident($($type:ty)?),)+) => {
        $(fn $method<E: Error>(self $(, _: $type)?) -> Result<Self::Value, E> { Ok(Self::Value::default()) })+
    };
}

impl<'de, T: ReadObject<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            object.read_field(&key, &mut map)?;
        }
        Ok(object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    otherwise_default! { visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str), visit_unit(), }
}

pub(crate) use otherwise_default;

/// A string; empty when there is none. Borrowed unless it holds escapes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    pub(crate) fn into_cow(self) -> Cow<'a, str> {
        self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Text<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    otherwise_default! { visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_unit(), }
}

/// A count; absent unless it is a number that is not negative. `"12"` and `12.0` are 12.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Count, E> {
        Ok(Count(Some(count)))
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<Count, E> {
        Ok(Count(count.try_into().ok()))
    }

    fn visit_f64<E: Error>(self, count: f64) -> Result<Count, E> {
        // Casting saturates, and these counts are far below 2^53.
        Ok(Count((count >= 0.0).then_some(count as u64)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        Ok(Count(text.parse().ok()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    otherwise_default! { visit_bool(bool), visit_unit(), }
}

/// A number of any kind; absent for anything else. `"1.5"` is 1.5.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Number(pub Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number(Some(number as f64)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        Ok(Number(Some(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.parse().ok().filter(|number: &f64| number.is_finite())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Number, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Number(None))
    }

    otherwise_default! { visit_bool(bool), visit_unit(), }
}

/// What the elements of a list become one by one, without the list being kept.
pub(crate) trait ReadList<'de>: Default {
    type Element: Deserialize<'de>;

    fn add(&mut self, element: Self::Element);
}

/// Reads a list. A single object counts as a list of one, anything else as an empty one.
pub(crate) fn read_list<'de, T: ReadList<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

/// A list; empty when there is none. A single object counts as a list of one.
#[derive(Debug)]
pub(crate) struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> ReadList<'de> for List<T> {
    type Element = T;

    fn add(&mut self, element: T) {
        if self.0.is_empty() {
            // Most lists in a stream have one element; a vector by itself asks for room for four.
            self.0.reserve_exact(1);
        }
        self.0.push(element);
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_list(deserializer)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: ReadList<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let mut list = T::default();
        while let Some(element) = seq.next_element()? {
            list.add(element);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        let mut list = T::default();
        list.add(T::Element::deserialize(MapAccessDeserializer::new(map))?);
        Ok(list)
    }

    otherwise_default! { visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str), visit_unit(), }
}

/// JSON text that is sent as a string, or as the value itself; empty when there is none.
#[derive(Debug, Default)]
pub(crate) struct JsonText<'a>(Cow<'a, str>);

impl Deref for JsonText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for JsonText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonTextVisitor)
    }
}

struct JsonTextVisitor;

impl<'de> Visitor<'de> for JsonTextVisitor {
    type Value = JsonText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<JsonText<'de>, E> {
        Ok(JsonText(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<JsonText<'de>, E> {
        Ok(JsonText(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonText<'de>, A::Error> {
        let object = Value::deserialize(MapAccessDeserializer::new(map))?;
        Ok(JsonText(Cow::Owned(object.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonText<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonText::default())
    }

    otherwise_default! { visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_unit(), }
}

/// Mends text that is nearly JSON; `None` if there is nothing to mend.
///
/// Servers that cut text by UTF-16 units send halves of surrogate pairs, and servers in Python
/// write `NaN` and `Infinity`. Halves become U+FFFD, those numbers become `null`.
pub(crate) fn mend(data: &str) -> Option<String> {
    let mut mended = String::with_capacity(data.len());
    let mut is_in_string = false;
    let mut rest = data;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        let mut with = None;
        if first == '"' {
            is_in_string = !is_in_string;
        } else if is_in_string && first == '\\' {
            length = match (unit(rest), rest.get(6..).and_then(unit)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
                (Some(0xD800..=0xDFFF), _) => {
                    with = Some("\\ufffd");
                    6
                }
                _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            };
        } else if !is_in_string && first.is_ascii_alphabetic() {
            length = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            if matches!(&rest[..length], "NaN" | "Infinity") {
                with = Some("null");
                if mended.ends_with('-') {
                    mended.pop();
                }
            }
        }
        let (part, tail) = rest.split_at(length);
        mended.push_str(with.unwrap_or(part));
        rest = tail;
    }
    (mended != data).then_some(mended)
}

/// The UTF-16 unit of a `\uXXXX` escape at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    lenient_object! {
        struct Sample<'a> {
            kind = "type": Text<'a>,
            count: Count,
            list: List<Sample<'a>>,
            arguments: JsonText<'a>,
        }
    }

    fn read(data: &str) -> Sample<'_> {
        serde_json::from_str(data).unwrap()
    }

    #[test]
    fn fields_of_the_wrong_type_are_as_good_as_absent() {
        let wrong = ["null", "true", "-1", "1.5", "[1,{}]", "{\"a\":[]}", "\"x\""];
        for wrong in wrong {
            let data = format!("{{\"type\":{wrong},\"count\":{wrong},\"list\":{wrong},\"arguments\":{wrong}}}");
            read(&data);
            assert_eq!(&*read(wrong).kind, "");
        }
        assert!(serde_json::from_str::<Sample<'_>>("{\"type\":}").is_err());
    }

    #[test]
    fn text_is_borrowed_and_the_last_of_equal_keys_wins() {
        let sample = read(r#"{"type":"a","type":"b","other":[1],"count":"12"}"#);
        assert!(matches!(sample.kind, Text(Cow::Borrowed("b"))));
        assert_eq!(sample.count.0, Some(12));
        assert_eq!(read(r#"{"count":12.0}"#).count.0, Some(12));
        assert_eq!(&*read(r#"{"type":"\n"}"#).kind, "\n");
    }

    #[test]
    fn json_text_may_be_a_string_or_the_value_itself() {
        assert_eq!(&*read(r#"{"arguments":"{\"a\""}"#).arguments, "{\"a\"");
        assert_eq!(&*read(r#"{"arguments":{"a":[1]}}"#).arguments, "{\"a\":[1]}");
    }

    #[test]
    fn one_object_is_a_list_of_one() {
        assert_eq!(read(r#"{"list":{"type":"x"}}"#).list.0.len(), 1);
        assert_eq!(read(r#"{"list":[{"type":"x"},null]}"#).list.0.len(), 2);
    }

    #[test]
    fn halves_of_surrogate_pairs_and_odd_numbers_are_mended() {
        let mended = mend(r#"{"a":"\ud83d","b":"\ud83d\ude00 NaN \\ud83d","c":[NaN,-Infinity,true]}"#);
        assert_eq!(mended.unwrap(), r#"{"a":"\ufffd","b":"\ud83d\ude00 NaN \\ud83d","c":[null,null,true]}"#);
        assert_eq!(mend(r#"{"a":1"#), None);
        assert_eq!(mend("\"\\"), None);
    }
}
