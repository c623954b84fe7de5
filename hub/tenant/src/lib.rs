//! hub-tenant
