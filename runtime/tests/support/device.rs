//! An importer of the fake exporter's memory, with demands and with refusals, and its callback.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use dmashare::{
    AccessConstraint, Backing, BufferDesc, FenceSet, Generation, ImportError, Importer, Invalidate,
    InvalidationContext, Placements,
};

use super::fake_exporter::Memory;

#[derive(Debug)]
struct Shared {
    name: String,
    placements: Placements,
    refuse: AtomicBool,
    panic_in_retire: AtomicBool,
    imports: AtomicUsize,
    objects: AtomicUsize,
}

/// A device that reaches some places. Clones are the same.
#[derive(Clone, Debug)]
pub struct Device {
    shared: Arc<Shared>,
}

/// A device's object: counts as a mapping of its memory.
#[derive(Debug)]
pub struct Object {
    /// The how manieth of its device.
    pub number: usize,
    pub generation: Generation,
    memory: Option<Arc<Memory>>,
}

impl Device {
    pub fn new(name: &str, placements: Placements) -> Self {
        Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                placements,
                refuse: AtomicBool::new(false),
                panic_in_retire: AtomicBool::new(false),
                imports: AtomicUsize::new(0),
                objects: AtomicUsize::new(0),
            }),
        }
    }

    /// One that reaches everything.
    pub fn anywhere(name: &str) -> Self {
        Self::new(name, Placements::all())
    }

    /// Whether it refuses every import from now on.
    pub fn set_refusing(&self, refuse: bool) {
        self.shared.refuse.store(refuse, SeqCst);
    }

    /// The next object that is given back makes it panic.
    pub fn panic_in_retire(&self) {
        self.shared.panic_in_retire.store(true, SeqCst);
    }

    pub fn imports(&self) -> usize {
        self.shared.imports.load(SeqCst)
    }

    /// Objects that were made and not given back.
    pub fn objects(&self) -> usize {
        self.shared.objects.load(SeqCst)
    }
}

impl Importer for Device {
    type Object = Object;

    fn name(&self) -> &str {
        &self.shared.name
    }

    fn constraint(&self, _desc: &BufferDesc) -> AccessConstraint {
        AccessConstraint::placements(self.shared.placements)
    }

    fn import(&self, _desc: &BufferDesc, backing: &Backing) -> Result<Object, ImportError> {
        if self.shared.refuse.load(SeqCst) {
            return Err(ImportError::MissingFeature {
                importer: self.shared.name.clone(),
                missing: "will",
            });
        }
        let memory: Option<Arc<Memory>> = backing.origin();
        if let Some(memory) = &memory {
            memory.mapped.fetch_add(1, SeqCst);
        }
        let number = self.shared.imports.fetch_add(1, SeqCst);
        self.shared.objects.fetch_add(1, SeqCst);
        Ok(Object {
            number,
            generation: backing.generation(),
            memory,
        })
    }

    fn retire(&self, object: Object, _after: FenceSet) {
        self.shared.objects.fetch_sub(1, SeqCst);
        if let Some(memory) = &object.memory {
            memory.mapped.fetch_sub(1, SeqCst);
        }
        let panics = self.shared.panic_in_retire.swap(false, SeqCst);
        assert!(!panics, "it was told to panic");
    }
}

/// A callback that counts the generations that it was told of.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<u64>>>);

impl Calls {
    pub fn generations(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn note(&self, context: &InvalidationContext<'_>) {
        let generation = context.generation().as_u64();
        self.0.lock().unwrap().push(generation);
    }
}

impl Invalidate for Calls {
    fn invalidate(&self, context: &InvalidationContext<'_>) {
        self.note(context);
    }
}
