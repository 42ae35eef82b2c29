//! The test phone, on rsip: shares no SIP code with the gateway it tests.
