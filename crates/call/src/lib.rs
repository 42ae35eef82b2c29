//! One caller's visit as pure machines: Call, Leg, Transfer. Inputs and time in, actions out.
