//! Reads a JSON object whose `type` names the variant of an enum.
//!
//! serde's own way (`#[serde(tag = "type")]`) first copies the object into a tree, because the tag may come last, and
//! then reads the tree: twice the code, which the browser must download. This module parses the text twice instead, the
//! first time for the tag alone. The enum is one that serde would treat as externally tagged.

use std::borrow::Cow;
use std::fmt::Display;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, VariantAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Error;
use serde_json::de::StrRead;

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
}

/// Reads one object.
pub(crate) fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
    let Tag { name } = serde_json::from_str(text)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Object { name, json: &mut json })?;
    json.end()?;
    Ok(value)
}

struct Object<'j, 'de> {
    name: Cow<'de, str>,
    json: &'j mut serde_json::Deserializer<StrRead<'de>>,
}

fn unfit(what: impl Display) -> Error {
    Error::custom(format_args!("{what} is not read by its type"))
}

impl<'de> Deserializer<'de> for Object<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(unfit("what is no enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Object<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = std::mem::take(&mut self.name);
        Ok((seed.deserialize(CowStrDeserializer::new(name))?, self))
    }
}

impl<'de> VariantAccess<'de> for Object<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        IgnoredAny::deserialize(self.json).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.json)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(unfit("a tuple"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.json.deserialize_map(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        a: Vec<i64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Frame {
        Fields { a: i64, b: Option<String> },
        Wrapped(Inner),
        Unit,
    }

    #[test]
    fn the_tag_may_stand_anywhere_and_unknown_fields_are_passed_over() {
        let fields = Frame::Fields { a: 1, b: None };
        assert_eq!(from_str::<Frame>(r#"{"type":"Fields","a":1}"#).unwrap(), fields);
        assert_eq!(from_str::<Frame>(r#"{"a":1,"new":{"x":[1]},"type":"Fields"}"#).unwrap(), fields);
        let wrapped = Frame::Wrapped(Inner { a: vec![1, 2] });
        assert_eq!(from_str::<Frame>(r#"{"type":"Wrapped","a":[1,2]}"#).unwrap(), wrapped);
        assert_eq!(from_str::<Frame>(r#"{"type":"U\u006eit","a":[1,2]}"#).unwrap(), Frame::Unit);
        assert_eq!(from_str::<Frame>(r#"{"type":"Unit"}"#).unwrap(), Frame::Unit);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for text in ["", "[]", "{}", r#"{"type":"Other"}"#, r#"{"type":"Fields"}"#, r#"{"type":"Unit"} x"#] {
            assert!(from_str::<Frame>(text).is_err(), "{text}");
        }
    }
}
