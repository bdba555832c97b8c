//! The I/O around the core: its owner task, couriers to the instances, and the handle that others use.
//!
//! | room | job |
//! | --- | --- |
//! | `handle` | what the gateway and the operators' side see |
//! | `book` | the catalog as others read it |
//! | `owner` | the one task that feeds the core and performs its actions |
//! | `courier` | one delivery: bodies out of the log, requests to the instance, the outcome |
//! | `errands` | deliveries that take several requests: creates, drops, resolved deletes |
//! | `copies` | copies that are not what they should be: told of, made again |
//! | `duty` | what operators want of the instances |
//! | `hold` | lanes that stand still for a moment |
//! | `rebuild` | the errands of a rebuild, and the store of what is to be copied |
//! | `rehearsal` | what a suspect's request does to a scratch collection |
//! | `poisoned` | withdrawn writes, and what an operator does with them |
//! | `measure` | how large deliveries are and how long they take |
//! | `start` | puts log, core, couriers and watches together |

mod book;
mod copies;
mod courier;
pub mod duty;
mod errands;
pub mod handle;
pub mod hold;
pub mod measure;
mod owner;
pub mod poisoned;
pub mod rebuild;
mod rehearsal;
pub mod start;
