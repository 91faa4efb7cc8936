//! Stories that disturb the operator or reinstall it: one at a time, with no other story under way.
