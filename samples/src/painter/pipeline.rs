//! The graphics pipeline.

use anyhow::{Context as _, Result, anyhow};
use dmashare_vk::Device;
use dmashare_vk::ash::vk;

/// The shader, compiled by build.rs.
const SHADER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/picture.spv"));

/// Bytes of the shader's immediates (push constants).
pub(super) const IMMEDIATES: u32 = 48;

/// Both stages read the immediates.
pub(super) const STAGES: vk::ShaderStageFlags = vk::ShaderStageFlags::from_raw(
    vk::ShaderStageFlags::VERTEX.as_raw() | vk::ShaderStageFlags::FRAGMENT.as_raw(),
);

/// A pipeline and its layout, destroyed with it: its owner drops it when no work uses it.
pub(super) struct Pipeline {
    device: Device,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
}

impl Pipeline {
    pub(super) fn new(device: &Device, format: vk::Format) -> Result<Self> {
        let ranges = [vk::PushConstantRange::default()
            .stage_flags(STAGES)
            .size(IMMEDIATES)];
        let info = vk::PipelineLayoutCreateInfo::default().push_constant_ranges(&ranges);
        // SAFETY: one range of 48 bytes, a multiple of 4 and below the least limit of 128.
        let layout = unsafe { device.raw().create_pipeline_layout(&info, None) }
            .context("vkCreatePipelineLayout failed")?;
        let mut this = Self {
            device: device.clone(),
            layout,
            pipeline: vk::Pipeline::null(),
        };
        this.pipeline = this.create(format)?;
        Ok(this)
    }

    pub(super) fn raw(&self) -> vk::Pipeline {
        self.pipeline
    }

    pub(super) fn layout(&self) -> vk::PipelineLayout {
        self.layout
    }

    fn create(&self, format: vk::Format) -> Result<vk::Pipeline> {
        let words: Vec<u32> = SHADER
            .chunks_exact(4)
            .map(|word| {
                word.iter()
                    .rev()
                    .fold(0, |n, byte| n << 8 | u32::from(*byte))
            })
            .collect();
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: the code is SPIR-V that naga validated and wrote.
        let module = unsafe { self.device.raw().create_shader_module(&info, None) }
            .context("vkCreateShaderModule failed")?;
        let pipeline = self.create_with(module, format);
        // SAFETY: the module is ours; pipelines that were made of it do not need it.
        unsafe { self.device.raw().destroy_shader_module(module, None) };
        pipeline
    }

    fn create_with(&self, module: vk::ShaderModule, format: vk::Format) -> Result<vk::Pipeline> {
        let stage = |stage, name| {
            vk::PipelineShaderStageCreateInfo::default()
                .stage(stage)
                .module(module)
                .name(name)
        };
        let stages = [
            stage(vk::ShaderStageFlags::VERTEX, c"vertex"),
            stage(vk::ShaderStageFlags::FRAGMENT, c"fragment"),
        ];
        let vertex_input = vk::PipelineVertexInputStateCreateInfo::default();
        let input_assembly = vk::PipelineInputAssemblyStateCreateInfo::default()
            .topology(vk::PrimitiveTopology::TRIANGLE_LIST);
        let viewport = vk::PipelineViewportStateCreateInfo::default()
            .viewport_count(1)
            .scissor_count(1);
        let rasterization = vk::PipelineRasterizationStateCreateInfo::default().line_width(1.0);
        let multisample = vk::PipelineMultisampleStateCreateInfo::default()
            .rasterization_samples(vk::SampleCountFlags::TYPE_1);
        let attachments = [vk::PipelineColorBlendAttachmentState::default()
            .color_write_mask(vk::ColorComponentFlags::RGBA)];
        let blend = vk::PipelineColorBlendStateCreateInfo::default().attachments(&attachments);
        let dynamic = vk::PipelineDynamicStateCreateInfo::default()
            .dynamic_states(&[vk::DynamicState::VIEWPORT, vk::DynamicState::SCISSOR]);
        let formats = [format];
        let mut rendering =
            vk::PipelineRenderingCreateInfo::default().color_attachment_formats(&formats);
        let info = vk::GraphicsPipelineCreateInfo::default()
            .stages(&stages)
            .vertex_input_state(&vertex_input)
            .input_assembly_state(&input_assembly)
            .viewport_state(&viewport)
            .rasterization_state(&rasterization)
            .multisample_state(&multisample)
            .color_blend_state(&blend)
            .dynamic_state(&dynamic)
            .layout(self.layout)
            .push_next(&mut rendering);
        // SAFETY: module and layout are alive, everything that `info` points to outlives the call,
        // the entry points exist in the shader, and dynamicRendering is enabled on every device
        // that the library opens.
        let created = unsafe {
            self.device
                .raw()
                .create_graphics_pipelines(vk::PipelineCache::null(), &[info], None)
        };
        match created {
            Ok(pipelines) => pipelines.first().copied().context("no pipeline was made"),
            // The only pipeline failed, so the list holds nothing to be destroyed.
            Err((_, result)) => Err(anyhow!(result).context("vkCreateGraphicsPipelines failed")),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // SAFETY: ours (or null), and no work uses it any more: see the type.
        unsafe { self.device.raw().destroy_pipeline(self.pipeline, None) };
        // SAFETY: as above.
        unsafe { self.device.raw().destroy_pipeline_layout(self.layout, None) };
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pipeline").field(&self.pipeline).finish()
    }
}
