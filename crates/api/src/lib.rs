//! The custom resources of plimsoll.dev: types, schema, CEL rules.
