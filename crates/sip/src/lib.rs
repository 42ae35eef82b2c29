//! The SIP front end: guards, messages, transactions, dialogs, registrar, transports.
