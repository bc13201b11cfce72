//! Properties of KMS objects. Their ids are the driver's choice: they are looked up once, by name,
//! when a card is opened.

use std::collections::HashMap;

use drm::control::{Device as _, ResourceHandle, property};
use std::os::fd::AsFd;

use crate::device::DrmDevice;
use crate::{DeviceError, OpenError, sys};

/// What a property is, the same for every object that has it.
#[derive(Clone, Debug)]
struct Description {
    name: String,
    enum_values: Vec<(String, u64)>,
}

/// Descriptions that were asked for so far, by property id: objects share them.
#[derive(Debug, Default)]
pub(crate) struct PropertyNames {
    known: HashMap<u32, Description>,
}

/// One property of one object.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    name: String,
    pub(crate) id: u32,
    pub(crate) value: u64,
    enum_values: Vec<(String, u64)>,
}

impl Property {
    /// The value that stands for one of the property's words.
    pub(crate) fn enum_value(&self, word: &str) -> Option<u64> {
        self.enum_values
            .iter()
            .find(|(name, _)| name == word)
            .map(|(_, value)| *value)
    }
}

/// The properties of one object, with the values that they had when they were read.
#[derive(Debug)]
pub(crate) struct Properties {
    object: String,
    entries: Vec<Property>,
}

impl PropertyNames {
    /// Reads an object's properties; `object` names it in errors.
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
                enum_values: description.enum_values.clone(),
            });
        }
        Ok(Properties { object, entries })
    }
}

fn describe(device: &DrmDevice, handle: property::Handle) -> Result<Description, DeviceError> {
    let info = device.call("MODE_GETPROPERTY", || device.get_property(handle))?;
    let enum_values = match info.value_type() {
        property::ValueType::Enum(values) => values
            .values()
            .1
            .iter()
            .map(|value| (value.name().to_string_lossy().into_owned(), value.value()))
            .collect(),
        _ => Vec::new(),
    };
    Ok(Description {
        name: info.name().to_string_lossy().into_owned(),
        enum_values,
    })
}

impl Properties {
    /// The property of this name, if the object has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Property> {
        self.entries.iter().find(|property| property.name == name)
    }

    /// The id of a property that every atomic driver has.
    pub(crate) fn id(&self, device: &DrmDevice, name: &'static str) -> Result<u32, OpenError> {
        self.get(name)
            .map(|property| property.id)
            .ok_or_else(|| OpenError::MissingProperty {
                card: device.name().to_owned(),
                object: self.object.clone(),
                property: name,
            })
    }

    /// The bytes of the blob that a property holds now; `None` without the property or a blob.
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
