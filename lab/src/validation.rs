//! The Vulkan validation layers, switched on from outside for every program in the guest.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::guest::layer_settings;
use crate::request::VALIDATION_PIPE;

/// Content of the layers' settings file: errors and warnings, each once, to the agent's pipe.
pub(crate) fn settings() -> String {
    format!(
        "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n\
         khronos_validation.report_flags = error,warn\n\
         khronos_validation.log_filename = {VALIDATION_PIPE}\n"
    )
}

/// Adds to `environment` what makes the Vulkan loader load the layers and the layers find their
/// settings.
pub(crate) fn switch_on(environment: &mut BTreeMap<String, OsString>) {
    environment.insert(
        "VK_INSTANCE_LAYERS".to_owned(),
        "VK_LAYER_KHRONOS_validation".into(),
    );
    environment.insert("VK_LAYER_SETTINGS_PATH".to_owned(), layer_settings().into());
}
