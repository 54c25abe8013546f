// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package profile holds legislators' decisions as data: the profiles that Vasistas
// ships, each figure with its legal source.
//
// # Contract
//
// A profile is a text file, shipped or the operator's own, that [Parse] compiles into
// the [event.Profile] of a charter. A figure and its source stand on one line, so no
// figure lacks one. Nothing has a default: a missing figure is an error. If a law
// leaves a figure out on purpose (no emergencies, no deferral without end, no total),
// its line has the value none.
//
// The package promises that the compiled figures are those of the file. A reader
// compares the file with the law by docs/profiles.md. A profile is no legal advice:
// the founders of a log answer for the profile in its charter.
//
// # Format
//
// UTF-8, lines ended by LF. A line is empty, a comment (#), or columns
// separated by bars:
//
//	profile | de                                    the id; the first line
//	title   | text                                  the title; once
//	rests   | law | text                            a law that figures rest on; any number
//	path    | value | source | note                 a figure; the note is optional
//
// A path names a member of the profile in docs/events.md, with a number for a step
// and a code for an instrument. Durations are whole numbers with a unit: s, m, h or d
// (86,400 seconds). Spaces separate the codes of a list. A line with the value yes
// declares an instrument.
//
// # Sources
//
// A source is one of three:
//
//   - a citation: the law states this figure, or this permission;
//   - "design, CITATION": the law demands a figure and gives none, or gives one in a
//     unit that can't be counted in seconds (court days); the figure is ours;
//   - "design": no law demands it; the system needs it.
//
// In a charter, a row of sources covers its path and all paths below it that have no
// row of their own.
//
// # Months and years
//
// Months and years have no fixed length, so each is rounded in favour of disclosure. A
// limit of secrecy, and the age from which a stricter rule holds, is the shortest such
// period (6 months: 181 days, 12 months: 365). The age from which a rule allows more is
// the longest (6 months: 184 days, 12 months: 366, 5 years: 1,827).
package profile
