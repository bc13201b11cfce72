//! Properties of KMS objects. Property ids differ between drivers, so they are looked up once by name
//! when a card is opened.

use std::collections::HashMap;
use std::ffi::c_char;
use std::os::fd::AsFd;

use drm::control::{Device as _, ResourceHandle, property};
use drm_ffi::{
    DRM_MODE_PROP_BITMASK, DRM_MODE_PROP_ENUM, DRM_MODE_PROP_EXTENDED_TYPE,
    DRM_MODE_PROP_IMMUTABLE, DRM_MODE_PROP_LEGACY_TYPE, DRM_MODE_PROP_RANGE,
};

use crate::device::DrmDevice;
use crate::error::{DeviceError, OpenError};
use crate::sys;

/// Description of a property, which is the same for every object that has it.
#[derive(Clone, Debug)]
struct Description {
    name: String,
    immutable: bool,
    limits: Option<(u64, u64)>,
    enum_values: Vec<(String, u64)>,
}

/// Cache of property descriptions by property id, which objects share.
#[derive(Debug, Default)]
pub(crate) struct PropertyNames {
    known: HashMap<u32, Description>,
}

/// One property of one object.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    name: String,
    pub(crate) id: u32,
    /// Value when the property was read.
    pub(crate) value: u64,
    /// The property cannot be set.
    pub(crate) immutable: bool,
    /// Smallest and largest value of an unsigned range property.
    pub(crate) limits: Option<(u64, u64)>,
    /// Entries of an enumeration with their values, or of a bitmask with their bit numbers.
    pub(crate) enum_values: Vec<(String, u64)>,
}

impl Property {
    /// The value of the enumeration entry `word`.
    pub(crate) fn enum_value(&self, word: &str) -> Option<u64> {
        self.enum_values
            .iter()
            .find(|(name, _)| name == word)
            .map(|(_, value)| *value)
    }
}

/// The properties of one object, with their values at the time of reading.
#[derive(Debug)]
pub(crate) struct Properties {
    object: String,
    entries: Vec<Property>,
}

impl PropertyNames {
    /// Reads the properties of an object. Errors name it as `object`.
    pub(crate) fn read<H: ResourceHandle>(
        &mut self,
        device: &DrmDevice,
        handle: H,
        object: String,
    ) -> Result<Properties, DeviceError> {
        let set = device.call("MODE_OBJ_GETPROPERTIES", || device.get_properties(handle))?;
        let mut entries = Vec::new();
        for (property, value) in &set {
            let id = u32::from(*property);
            if let std::collections::hash_map::Entry::Vacant(e) = self.known.entry(id) {
                let description = describe(device, *property)?;
                e.insert(description);
            }
            let description = &self.known[&id];
            entries.push(Property {
                name: description.name.clone(),
                id,
                value: *value,
                immutable: description.immutable,
                limits: description.limits,
                enum_values: description.enum_values.clone(),
            });
        }
        Ok(Properties { object, entries })
    }
}

/// Reads a description with `drm-ffi`, because the `drm` crate does not return bitmask entries.
fn describe(device: &DrmDevice, handle: property::Handle) -> Result<Description, DeviceError> {
    let mut values = Vec::new();
    let mut enums = Vec::new();
    let info = device.call("MODE_GETPROPERTY", || {
        drm_ffi::mode::get_property(
            device.as_fd(),
            handle.into(),
            Some(&mut values),
            Some(&mut enums),
        )
    })?;
    let is =
        |kind: u32| info.flags & (DRM_MODE_PROP_LEGACY_TYPE | DRM_MODE_PROP_EXTENDED_TYPE) == kind;
    Ok(Description {
        name: text(&info.name),
        immutable: info.flags & DRM_MODE_PROP_IMMUTABLE != 0,
        limits: match values[..] {
            [smallest, largest] if is(DRM_MODE_PROP_RANGE) => Some((smallest, largest)),
            _ => None,
        },
        enum_values: enums
            .iter()
            .filter(|_| is(DRM_MODE_PROP_ENUM) || is(DRM_MODE_PROP_BITMASK))
            .map(|value| (text(&value.name), value.value))
            .collect(),
    })
}

/// Decodes a name from a fixed array, up to the first zero byte.
fn text(name: &[c_char]) -> String {
    let bytes: Vec<u8> = name
        .iter()
        .map(|byte| byte.to_ne_bytes()[0])
        .take_while(|byte| *byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Properties {
    /// The property with this name, if the object has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Property> {
        self.entries.iter().find(|property| property.name == name)
    }

    /// The id of a property that every atomic driver exposes.
    pub(crate) fn id(&self, device: &DrmDevice, name: &'static str) -> Result<u32, OpenError> {
        self.get(name)
            .map(|property| property.id)
            .ok_or_else(|| OpenError::MissingProperty {
                card: device.name().to_owned(),
                object: self.object.clone(),
                property: name,
            })
    }

    /// Contents of the blob that the property references; `None` without the property or a blob.
    pub(crate) fn blob(
        &self,
        device: &DrmDevice,
        name: &str,
    ) -> Result<Option<Vec<u8>>, DeviceError> {
        match self
            .get(name)
            .and_then(|property| u32::try_from(property.value).ok())
        {
            None | Some(0) => Ok(None),
            Some(blob) => device
                .call("MODE_GETPROPBLOB", || {
                    sys::mode::get_blob(device.as_fd(), blob)
                })
                .map(Some),
        }
    }
}

#[cfg(test)]
impl Properties {
    /// Properties of a fake plane for tests.
    pub(crate) fn of_test(entries: Vec<Property>) -> Self {
        Self {
            object: "plane 1".to_owned(),
            entries,
        }
    }
}

#[cfg(test)]
impl Property {
    /// An enumeration or bitmask property.
    pub(crate) fn of_words(name: &str, id: u32, words: &[(&str, u64)]) -> Self {
        Self {
            name: name.to_owned(),
            id,
            value: 0,
            immutable: false,
            limits: None,
            enum_values: words
                .iter()
                .map(|(word, value)| ((*word).to_owned(), *value))
                .collect(),
        }
    }

    /// An unsigned range property.
    pub(crate) fn of_range(name: &str, id: u32, value: u64, limits: (u64, u64)) -> Self {
        Self {
            value,
            limits: Some(limits),
            ..Self::of_words(name, id, &[])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_the_first_zero_or_with_its_array() {
        let name: Vec<c_char> = b"FB_ID\0\0x".iter().map(|byte| *byte as c_char).collect();
        assert_eq!(text(&name), "FB_ID");
        assert_eq!(text(&name[..5]), "FB_ID");
    }
}
