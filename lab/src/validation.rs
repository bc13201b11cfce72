//! The Vulkan validation layers, switched on from outside for every program in the guest.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::request::{GUEST_STATE, LAYER_SETTINGS, VALIDATION_PIPE};

/// What stdbuf(1) preloads, where coreutils has it in the guest.
const LINE_BUFFERING: &str = "/usr/libexec/coreutils/libstdbuf.so";

/// Content of the layers' settings file: errors and warnings, each once, to the agent's pipe.
pub(crate) fn settings() -> String {
    format!(
        "khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG\n\
         khronos_validation.report_flags = error,warn\n\
         khronos_validation.log_filename = {VALIDATION_PIPE}\n"
    )
}

/// The validation settings' path in the guest.
fn layer_settings() -> String {
    format!("{GUEST_STATE}/{LAYER_SETTINGS}")
}

/// Adds to `environment` what makes the Vulkan loader load the layers and the layers find their
/// settings.
///
/// The layers announce their log file with printf, which C keeps back until the program ends when
/// its standard output is no terminal: after the program's own last line. coreutils' library behind
/// stdbuf(1) has it written at once, so that the last line stays the program's.
pub(crate) fn switch_on(environment: &mut BTreeMap<String, OsString>) {
    environment.insert(
        "VK_INSTANCE_LAYERS".to_owned(),
        "VK_LAYER_KHRONOS_validation".into(),
    );
    environment.insert("LD_PRELOAD".to_owned(), LINE_BUFFERING.into());
    environment.insert("_STDBUF_O".to_owned(), "L".into());
    environment.insert("VK_LAYER_SETTINGS_PATH".to_owned(), layer_settings().into());
}
