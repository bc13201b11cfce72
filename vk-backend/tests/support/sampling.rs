//! A compute shader that samples an image of luma and chroma into an RGB image of the same size.
//!
//! naga's SPIR-V has images and samplers apart, and a sampler with a conversion must be combined with
//! its image: so the few instructions are put together here.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use dmashare::{Color, Extent, Mapping};
use dmashare_vk::Device;
use dmashare_vk::ash::vk;
use rspirv::binary::Assemble;
use rspirv::dr::{Builder, Operand};
use rspirv::spirv::{
    AddressingModel, Capability, Decoration, Dim, ExecutionMode, ExecutionModel, FunctionControl,
    ImageFormat, ImageOperands, MemoryModel, StorageClass,
};

const GROUP: u32 = 8;

/// `imageStore(target, id, textureLod(source, (id + 0.5) / extent, 0))`.
fn shader(extent: Extent) -> Vec<u32> {
    let mut b = Builder::new();
    b.set_version(1, 3);
    b.capability(Capability::Shader);
    b.memory_model(AddressingModel::Logical, MemoryModel::GLSL450);
    let void = b.type_void();
    let float = b.type_float(32, None);
    let uint = b.type_int(32, 0);
    let vec2 = b.type_vector(float, 2);
    let vec4 = b.type_vector(float, 4);
    let uvec2 = b.type_vector(uint, 2);
    let uvec3 = b.type_vector(uint, 3);
    let sampled = b.type_image(float, Dim::Dim2D, 0, 0, 0, 1, ImageFormat::Unknown, None);
    let combined = b.type_sampled_image(sampled);
    let stored = b.type_image(float, Dim::Dim2D, 0, 0, 0, 2, ImageFormat::Rgba8, None);
    let pointer = |b: &mut Builder, class, ty| b.type_pointer(None, class, ty);
    let combined_pointer = pointer(&mut b, StorageClass::UniformConstant, combined);
    let stored_pointer = pointer(&mut b, StorageClass::UniformConstant, stored);
    let id_pointer = pointer(&mut b, StorageClass::Input, uvec3);
    let source = b.variable(combined_pointer, None, StorageClass::UniformConstant, None);
    let target = b.variable(stored_pointer, None, StorageClass::UniformConstant, None);
    let id = b.variable(id_pointer, None, StorageClass::Input, None);
    for (variable, binding) in [(source, 0), (target, 1)] {
        let operand = |value| [Operand::LiteralBit32(value)];
        b.decorate(variable, Decoration::DescriptorSet, operand(0));
        b.decorate(variable, Decoration::Binding, operand(binding));
    }
    b.decorate(target, Decoration::NonReadable, []);
    let built_in = rspirv::spirv::BuiltIn::GlobalInvocationId;
    b.decorate(id, Decoration::BuiltIn, [Operand::BuiltIn(built_in)]);
    let constant = |b: &mut Builder, value: f64| {
        #[allow(clippy::cast_possible_truncation, reason = "a small number and a half")]
        let bits = (value as f32).to_bits();
        b.constant_bit32(float, bits)
    };
    let zero = constant(&mut b, 0.0);
    let half = constant(&mut b, 0.5);
    let width = constant(&mut b, extent.width.into());
    let height = constant(&mut b, extent.height.into());
    let halves = b.constant_composite(vec2, [half, half]);
    let size = b.constant_composite(vec2, [width, height]);
    let main_type = b.type_function(void, []);

    let main = b
        .begin_function(void, None, FunctionControl::NONE, main_type)
        .unwrap();
    b.begin_block(None).unwrap();
    let id3 = b.load(uvec3, None, id, None, []).unwrap();
    let id2 = b.vector_shuffle(uvec2, None, id3, id3, [0, 1]).unwrap();
    let position = b.convert_u_to_f(vec2, None, id2).unwrap();
    let centre = b.f_add(vec2, None, position, halves).unwrap();
    let at = b.f_div(vec2, None, centre, size).unwrap();
    let source = b.load(combined, None, source, None, []).unwrap();
    let color = b
        .image_sample_explicit_lod(
            vec4,
            None,
            source,
            at,
            ImageOperands::LOD,
            [Operand::IdRef(zero)],
        )
        .unwrap();
    let target_image = b.load(stored, None, target, None, []).unwrap();
    b.image_write(target_image, id2, color, None, []).unwrap();
    b.ret().unwrap();
    b.end_function().unwrap();
    b.entry_point(ExecutionModel::GLCompute, main, "main", [id]);
    b.execution_mode(main, ExecutionMode::LocalSize, [GROUP, GROUP, 1]);
    b.module().assemble()
}

/// Vulkan objects that are destroyed at the end of a test, the newest first.
struct Objects<'a> {
    raw: &'a dmashare_vk::ash::Device,
    conversion: vk::SamplerYcbcrConversion,
    sampler: vk::Sampler,
    view: vk::ImageView,
    layout: vk::DescriptorSetLayout,
    pipeline_layout: vk::PipelineLayout,
    module: vk::ShaderModule,
    pipeline: vk::Pipeline,
    descriptors: vk::DescriptorPool,
    commands: vk::CommandPool,
}

impl Drop for Objects<'_> {
    fn drop(&mut self) {
        // SAFETY: the work that used them is over, here and below.
        unsafe { self.raw.destroy_command_pool(self.commands, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_descriptor_pool(self.descriptors, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_pipeline(self.pipeline, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_shader_module(self.module, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_pipeline_layout(self.pipeline_layout, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_descriptor_set_layout(self.layout, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_image_view(self.view, None) };
        // SAFETY: as above.
        unsafe { self.raw.destroy_sampler(self.sampler, None) };
        // SAFETY: as above.
        unsafe {
            self.raw
                .destroy_sampler_ycbcr_conversion(self.conversion, None)
        };
    }
}

/// Samples `source` into `target`, an `ABGR8888` storage image of the same size, whose width and height
/// are multiples of 8, and waits for it.
pub fn sample(
    device: &Device,
    source: &Mapping<Device>,
    color: &Color,
    filter: vk::Filter,
    target: &Mapping<Device>,
) {
    let raw = device.raw();
    let image = source.object();
    let extent = image.extent();
    assert!(extent.width.is_multiple_of(GROUP) && extent.height.is_multiple_of(GROUP));
    let ycbcr = image.ycbcr(color, filter).unwrap();
    let mut objects = Objects {
        raw,
        conversion: vk::SamplerYcbcrConversion::null(),
        sampler: vk::Sampler::null(),
        view: vk::ImageView::null(),
        layout: vk::DescriptorSetLayout::null(),
        pipeline_layout: vk::PipelineLayout::null(),
        module: vk::ShaderModule::null(),
        pipeline: vk::Pipeline::null(),
        descriptors: vk::DescriptorPool::null(),
        commands: vk::CommandPool::null(),
    };
    // SAFETY: the helper gave what the device can, here and for the sampler and the view.
    let conversion = unsafe { raw.create_sampler_ycbcr_conversion(&ycbcr.conversion_info(), None) };
    objects.conversion = conversion.unwrap();
    let mut chained = ycbcr.chained(objects.conversion);
    let info = ycbcr.sampler_info().push_next(&mut chained);
    // SAFETY: as above.
    objects.sampler = unsafe { raw.create_sampler(&info, None) }.unwrap();
    let mut chained = ycbcr.chained(objects.conversion);
    let info = ycbcr.view_info(image).push_next(&mut chained);
    // SAFETY: as above.
    objects.view = unsafe { raw.create_image_view(&info, None) }.unwrap();

    let immutable = [objects.sampler];
    let binding = |binding, kind| {
        vk::DescriptorSetLayoutBinding::default()
            .binding(binding)
            .descriptor_type(kind)
            .descriptor_count(1)
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
    };
    let (combined, storage) = (
        vk::DescriptorType::COMBINED_IMAGE_SAMPLER,
        vk::DescriptorType::STORAGE_IMAGE,
    );
    let bindings = [
        binding(0, combined).immutable_samplers(&immutable),
        binding(1, storage),
    ];
    let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
    // SAFETY: plain creations of valid infos, here and below.
    objects.layout = unsafe { raw.create_descriptor_set_layout(&info, None) }.unwrap();
    let layouts = [objects.layout];
    let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts);
    // SAFETY: as above.
    objects.pipeline_layout = unsafe { raw.create_pipeline_layout(&info, None) }.unwrap();
    let words = shader(extent);
    let info = vk::ShaderModuleCreateInfo::default().code(&words);
    // SAFETY: as above.
    objects.module = unsafe { raw.create_shader_module(&info, None) }.unwrap();
    let stage = vk::PipelineShaderStageCreateInfo::default()
        .stage(vk::ShaderStageFlags::COMPUTE)
        .module(objects.module)
        .name(c"main");
    let info = vk::ComputePipelineCreateInfo::default()
        .stage(stage)
        .layout(objects.pipeline_layout);
    // SAFETY: as above.
    let pipelines =
        unsafe { raw.create_compute_pipelines(vk::PipelineCache::null(), &[info], None) };
    objects.pipeline = pipelines.unwrap()[0];

    let size = |ty, descriptor_count| vk::DescriptorPoolSize {
        ty,
        descriptor_count,
    };
    let sizes = [size(combined, ycbcr.descriptors()), size(storage, 1)];
    let info = vk::DescriptorPoolCreateInfo::default()
        .max_sets(1)
        .pool_sizes(&sizes);
    // SAFETY: as above.
    objects.descriptors = unsafe { raw.create_descriptor_pool(&info, None) }.unwrap();
    let info = vk::DescriptorSetAllocateInfo::default()
        .descriptor_pool(objects.descriptors)
        .set_layouts(&layouts);
    // SAFETY: as above.
    let sets = unsafe { raw.allocate_descriptor_sets(&info) }.unwrap();
    let general = vk::DescriptorImageInfo::default().image_layout(vk::ImageLayout::GENERAL);
    let sampled = [general.image_view(objects.view)];
    let stored = [general.image_view(target.object().view().unwrap())];
    let write = |binding, kind| {
        vk::WriteDescriptorSet::default()
            .dst_set(sets[0])
            .dst_binding(binding)
            .descriptor_type(kind)
    };
    let writes = [
        write(0, combined).image_info(&sampled),
        write(1, storage).image_info(&stored),
    ];
    // SAFETY: the set is new; views and layouts are as they will be.
    unsafe { raw.update_descriptor_sets(&writes, &[]) };

    let info = vk::CommandPoolCreateInfo::default().queue_family_index(device.queue_family());
    // SAFETY: as above.
    objects.commands = unsafe { raw.create_command_pool(&info, None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default()
        .command_pool(objects.commands)
        .command_buffer_count(1);
    // SAFETY: as above.
    let commands = unsafe { raw.allocate_command_buffers(&info) }.unwrap()[0];
    record(&objects, commands, sets[0], source, target);

    let submission = device.submission([source.read(), target.write()]).unwrap();
    let info = vk::CommandBufferSubmitInfo::default().command_buffer(commands);
    // SAFETY: the command buffer is executable, and kept until its fence is over.
    let fence = unsafe { submission.submit(&[info]) }.unwrap();
    fence.wait(super::support::LONG).unwrap();
}

fn record(
    objects: &Objects<'_>,
    commands: vk::CommandBuffer,
    set: vk::DescriptorSet,
    source: &Mapping<Device>,
    target: &Mapping<Device>,
) {
    let raw = objects.raw;
    let (source, target) = (source.object(), target.object());
    let stage = vk::PipelineStageFlags2::COMPUTE_SHADER;
    let (read, write) = (
        vk::AccessFlags2::SHADER_SAMPLED_READ,
        vk::AccessFlags2::SHADER_STORAGE_WRITE,
    );
    let barriers = |barriers: [vk::ImageMemoryBarrier2<'static>; 2]| {
        let info = vk::DependencyInfo::default().image_memory_barriers(&barriers);
        // SAFETY: the buffer is recording, the images are alive.
        unsafe { raw.cmd_pipeline_barrier2(commands, &info) };
    };
    let info = vk::CommandBufferBeginInfo::default();
    // SAFETY: the buffer is new.
    unsafe { raw.begin_command_buffer(commands, &info) }.unwrap();
    barriers([source.acquire(stage, read), target.acquire(stage, write)]);
    let bind_point = vk::PipelineBindPoint::COMPUTE;
    // SAFETY: the buffer is recording, here and below.
    unsafe { raw.cmd_bind_pipeline(commands, bind_point, objects.pipeline) };
    let layout = objects.pipeline_layout;
    // SAFETY: as above; the set has the pipeline's layout.
    unsafe { raw.cmd_bind_descriptor_sets(commands, bind_point, layout, 0, &[set], &[]) };
    let extent = target.extent();
    // SAFETY: as above; every invocation is inside both images.
    unsafe { raw.cmd_dispatch(commands, extent.width / GROUP, extent.height / GROUP, 1) };
    barriers([source.release(stage, read), target.release(stage, write)]);
    // SAFETY: as above.
    unsafe { raw.end_command_buffer(commands) }.unwrap();
}
