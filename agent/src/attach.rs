//! The life of a pod attachment: CNI ADD, DEL, CHECK, GC and STATUS as the agent carries them out.
