//! The same events on the library.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dmashare::host::HostMemory;
use dmashare::{
    Access, AccessConstraint, AttachError, CpuAccess, DynamicAttachment, ExportGuard,
    InvalidationContext, MapError, Mapping, MoveError, PinError, PinGuard, Placements, RevokeError,
    SharedBuffer, SoftwareTimeline, StaticAttachment, Submission, SubmitError,
};

use crate::reference::{Outcome, Reference, Role};
use crate::support::device::{Calls, Device};
use crate::support::fake_exporter::{FakeExporter, memory_of};
use crate::support::{desc, heap, udmabuf};
use crate::transition::{Behaviour, Event, Transition};

/// An attachment's handle.
pub enum Handle {
    Static(StaticAttachment<Device>),
    Export(ExportGuard),
    Dynamic(DynamicAttachment<Device>),
}

/// One attachment, its device and what its callback was told.
pub struct Attached {
    pub handle: Option<Handle>,
    pub device: Device,
    pub calls: Calls,
}

/// One object of a device, and the clones of its mapping that are held.
pub struct Mapped {
    attachment: usize,
    number: usize,
    pub clones: Vec<Mapping<Device>>,
}

/// The library with everything that an application would hold.
pub struct Subject {
    pub buffer: SharedBuffer,
    pub fake: Option<FakeExporter>,
    pub attachments: Vec<Attached>,
    pub objects: Vec<Mapped>,
    pub pins: Vec<Option<PinGuard>>,
    pub uses: Vec<SoftwareTimeline>,
    /// Timelines of fences that callbacks have added in this event.
    added: Arc<Mutex<Vec<SoftwareTimeline>>>,
}

/// The name of an error, as the reference has it.
fn attach_error(error: &AttachError) -> String {
    match error {
        AttachError::Import { .. } => "Import".into(),
        AttachError::Unreachable { .. } => "Unreachable".into(),
        AttachError::Move { source, .. } => format!("Move/{}", move_error(source)),
        AttachError::Pin { .. } => "Pin".into(),
        AttachError::Moving { .. } => "Moving".into(),
        AttachError::Revoked { .. } => "Revoked".into(),
        other => format!("{other:?}"),
    }
}

fn map_error(error: &MapError) -> String {
    match error {
        MapError::Import(_) => "Import".into(),
        MapError::Unreachable { .. } => "Unreachable".into(),
        MapError::Move { source } => format!("Move/{}", move_error(source)),
        MapError::Revoked { .. } => "Revoked".into(),
        MapError::Dead { .. } => "Dead".into(),
        MapError::Detached { .. } => "Detached".into(),
        other => format!("{other:?}"),
    }
}

fn pin_error(error: &PinError) -> String {
    match error {
        PinError::Unreachable { .. } => "Unreachable".into(),
        PinError::Move { source } => format!("Move/{}", move_error(source)),
        PinError::Moving { .. } => "Moving".into(),
        PinError::Revoked { .. } => "Revoked".into(),
        PinError::Dead { .. } => "Dead".into(),
        PinError::Detached { .. } => "Detached".into(),
        PinError::Exporter { .. } => "Exporter".into(),
        other => format!("{other:?}"),
    }
}

fn move_error(error: &MoveError) -> String {
    match error {
        MoveError::Pinned { .. } => "Pinned".into(),
        MoveError::Moving { .. } => "Moving".into(),
        MoveError::Revoked { .. } => "Revoked".into(),
        MoveError::NoPlacement { .. } => "NoPlacement".into(),
        MoveError::Export { .. } => "Export".into(),
        MoveError::Copy { .. } => "Copy".into(),
        other => format!("{other:?}"),
    }
}

fn revoke_error(error: &RevokeError) -> String {
    match error {
        RevokeError::NotRevocable { .. } => "NotRevocable".into(),
        RevokeError::Moving { .. } => "Moving".into(),
        RevokeError::Revoked { .. } => "Revoked".into(),
        RevokeError::NotRevoked { .. } => "NotRevoked".into(),
        other => format!("{other:?}"),
    }
}

fn submit_error(error: &SubmitError) -> String {
    match error {
        SubmitError::Stale { .. } => "Stale".into(),
        SubmitError::ImporterDead { .. } => "ImporterDead".into(),
        other => format!("{other:?}"),
    }
}

impl Subject {
    pub fn new(reference: &Reference) -> Self {
        let anything = AccessConstraint::default();
        let fake = reference
            .can_fail
            .then(|| FakeExporter::new(reference.offered));
        let buffer = match &fake {
            Some(fake) => SharedBuffer::new_dynamic(fake, desc("model"), &anything),
            None => {
                let exporter = HostMemory::new(Some(heap()), Some(udmabuf()));
                SharedBuffer::new_dynamic(&exporter, desc("model"), &anything)
            }
        };
        let buffer = buffer.unwrap();
        buffer.set_stale_deadline(Duration::from_secs(3600));
        let subject = Self {
            buffer,
            fake,
            attachments: Vec::new(),
            objects: Vec::new(),
            pins: Vec::new(),
            uses: Vec::new(),
            added: Arc::default(),
        };
        subject.write(reference.content);
        subject
    }

    /// Writes the content where the buffer is.
    fn write(&self, content: u64) {
        self.buffer
            .wait_ready(Access::Write, Duration::ZERO)
            .unwrap();
        let backing = self.buffer.backing();
        if self.fake.is_some() {
            let memory = memory_of(&backing);
            memory
                .content
                .store(content, std::sync::atomic::Ordering::SeqCst);
            return;
        }
        let mut access = CpuAccess::begin(backing.dmabuf(), Access::Write).unwrap();
        for row in [0, 31] {
            access.write_row(0, row, &content.to_ne_bytes()).unwrap();
        }
    }

    /// The content where the buffer is.
    pub fn content(&self) -> u64 {
        let backing = self.buffer.backing();
        if self.fake.is_some() {
            let memory = memory_of(&backing);
            return memory.content.load(std::sync::atomic::Ordering::SeqCst);
        }
        let access = CpuAccess::begin(backing.dmabuf(), Access::Read).unwrap();
        let rows = [0, 31].map(|row| {
            let mut bytes = [0; 8];
            access.read_row(0, row, &mut bytes).unwrap();
            u64::from_ne_bytes(bytes)
        });
        assert_eq!(rows[0], rows[1], "the first and the last row");
        rows[0]
    }

    /// Applies an event; gives what came of it, as the reference names it.
    pub fn apply(&mut self, transition: &Transition) -> Outcome {
        if let Some(fake) = &self.fake {
            fake.set_mode(transition.mode);
            if let Some((step, calls)) = transition.failing {
                fake.fail(step, calls);
            }
        }
        for attached in &self.attachments {
            attached.device.set_refusing(transition.refusing);
        }
        let outcome = self.event(&transition.event, transition.refusing);
        if let Some(fake) = &self.fake {
            fake.stop_failing();
        }
        // What callbacks have added comes before what the event itself has.
        let added = std::mem::take(&mut *self.added.lock().unwrap());
        self.uses.extend(added);
        outcome
    }

    fn event(&mut self, event: &Event, refusing: bool) -> Outcome {
        match *event {
            Event::Attach {
                role,
                reach,
                behaviour,
            } => self.attach(role, reach, behaviour, refusing),
            Event::DropHandle(key) => {
                self.attachments[key].handle = None;
                Ok(None)
            }
            Event::Map(key) => self.map(key),
            Event::Unmap(key) => {
                self.objects[key].clones.pop();
                Ok(None)
            }
            Event::Forget(key) => {
                if let Some(Handle::Dynamic(attachment)) = &self.attachments[key].handle {
                    attachment.unmap();
                }
                Ok(None)
            }
            Event::Use(key, access) => {
                let mapping = self.objects[key].clones.last().unwrap();
                let submission = Submission::begin([mapping.used_for(access)]);
                let submission = submission.map_err(|error| submit_error(&error))?;
                let timeline = SoftwareTimeline::new("use");
                if self.fake.is_some() {
                    let memory = memory_of(mapping.backing());
                    memory.uses.lock().unwrap().push(timeline.fence(1));
                }
                submission.commit(&timeline.fence(1));
                self.uses.push(timeline);
                Ok(Some(self.uses.len() - 1))
            }
            Event::Finish(key) => {
                self.uses[key].signal(1);
                Ok(None)
            }
            Event::Pin(key) => {
                let Some(Handle::Dynamic(attachment)) = &self.attachments[key].handle else {
                    panic!("only dynamic attachments pin");
                };
                let pin = attachment
                    .pin("scanout")
                    .map_err(|error| pin_error(&error))?;
                self.pins.push(Some(pin));
                Ok(Some(self.pins.len() - 1))
            }
            Event::Unpin(key) => {
                self.pins[key] = None;
                Ok(None)
            }
            Event::Move(to) => {
                let moved = self.buffer.move_to(&AccessConstraint::placements(to));
                moved.map(|_| None).map_err(|error| move_error(&error))
            }
            Event::FinishCopies => {
                self.fake.as_ref().unwrap().finish_copies();
                Ok(None)
            }
            Event::Dispatch => {
                self.buffer.dispatch();
                Ok(None)
            }
            Event::Late => {
                self.buffer.set_stale_deadline(Duration::ZERO);
                self.buffer.dispatch();
                self.buffer.set_stale_deadline(Duration::from_secs(3600));
                Ok(None)
            }
            Event::Revoke => {
                let revoked = self.buffer.revoke();
                revoked.map(|_| None).map_err(|error| revoke_error(&error))
            }
            Event::Unrevoke => {
                let given_back = self.buffer.unrevoke();
                given_back
                    .map(|()| None)
                    .map_err(|error| revoke_error(&error))
            }
            Event::Write(content) => {
                self.write(content);
                Ok(None)
            }
        }
    }

    fn attach(
        &mut self,
        role: Role,
        reach: Placements,
        behaviour: Behaviour,
        refusing: bool,
    ) -> Outcome {
        let key = self.attachments.len();
        let (device, calls) = (
            Device::new(&format!("device {key}"), reach),
            Calls::default(),
        );
        device.set_refusing(refusing);
        let attached = match role {
            Role::Static => self.buffer.attach(&device).map(Handle::Static),
            Role::Export => self
                .buffer
                .export(&format!("device {key}"))
                .map(Handle::Export),
            Role::Dynamic => {
                let callback = self.callback(calls.clone(), behaviour);
                let attached = self.buffer.attach_dynamic(&device, callback);
                attached.map(Handle::Dynamic)
            }
        };
        let handle = attached.map_err(|error| attach_error(&error))?;
        if let Handle::Static(_) = &handle {
            // The object was made at attach; nobody holds a clone yet.
            self.objects.push(Mapped {
                attachment: key,
                number: 0,
                clones: Vec::new(),
            });
        }
        self.attachments.push(Attached {
            handle: Some(handle),
            device,
            calls,
        });
        Ok(Some(key))
    }

    fn callback(
        &self,
        calls: Calls,
        behaviour: Behaviour,
    ) -> impl Fn(&InvalidationContext<'_>) + Send + Sync + 'static {
        let added = self.added.clone();
        move |context| {
            calls.note(context);
            match behaviour {
                Behaviour::Note => {}
                Behaviour::Unpin => drop(context.unpin()),
                Behaviour::AddFence => {
                    let timeline = SoftwareTimeline::new("callback");
                    context.add_fence(Access::Write, timeline.fence(1));
                    added.lock().unwrap().push(timeline);
                }
                Behaviour::Detach => context.detach_afterwards(),
                Behaviour::Panic => std::panic::resume_unwind(Box::new("a broken importer")),
            }
        }
    }

    fn map(&mut self, key: usize) -> Outcome {
        let mapping = match &self.attachments[key].handle {
            Some(Handle::Static(attachment)) => attachment.map(),
            Some(Handle::Dynamic(attachment)) => attachment.map(),
            Some(Handle::Export(guard)) => panic!("{guard:?} is not mapped"),
            None => panic!("its handle was dropped"),
        };
        let mapping = mapping.map_err(|error| map_error(&error))?;
        let number = mapping.object().number;
        let mut known = self.objects.iter();
        let known = known.position(|one| (one.attachment, one.number) == (key, number));
        let object = known.unwrap_or(self.objects.len());
        if known.is_none() {
            self.objects.push(Mapped {
                attachment: key,
                number,
                clones: Vec::new(),
            });
        }
        self.objects[object].clones.push(mapping);
        Ok(Some(object))
    }
}
