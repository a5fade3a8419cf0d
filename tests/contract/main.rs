//! The contract of the storage ports: one suite, run against every backend.
//!
//! Each promise is a function over a [`backend::Backend`] and sees only the traits. `promises!` runs all of them in
//! memory, on a local disk, and in a bucket of a real S3 server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod backend;
mod blobs;
mod catalog;
mod damage;
mod disk;
mod entries;
mod flaky;
mod late_replies;
mod lost_replies;
mod policies;
mod probes;
mod records;
mod refreshes;
mod s3;
mod sweeps;
mod token_lists;
mod tokens;
mod values;
mod versions;

use crate::backend::Backend;

/// One test per promise and backend.
macro_rules! promises {
    ($($group:ident { $($promise:ident),+ $(,)? })+) => {
        mod memory {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    crate::$group::$promise(&crate::Backend::memory()).await;
                })+
            })+
        }

        mod local {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    crate::$group::$promise(&crate::Backend::local()).await;
                })+
            })+
        }

        mod bucket {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $promise() {
                    if let Some(backend) = crate::Backend::s3() {
                        crate::$group::$promise(&backend).await;
                    }
                })+
            })+
        }
    };
}

promises! {
    policies {
        the_largest_policy_takes_less_than_a_mebibyte,
    }
    records {
        entries_are_numbered_from_one_and_read_back_whole,
        every_kind_of_record_has_its_own_streams,
        users_are_kept_each_by_its_own_subject,
        there_is_one_policy_and_of_two_first_ones_one_lands,
        an_append_to_a_stale_base_is_theirs,
        the_same_change_tried_again_is_ours_with_the_stored_entry,
        of_racing_appends_exactly_one_lands_every_time,
        of_racing_creations_exactly_one_lands,
        what_one_server_appended_the_other_sees_at_once,
        a_minute_by_either_clock_and_nothing_is_remembered,
        a_wall_clock_that_went_back_ends_remembering,
        what_was_remembered_for_too_long_is_found_anew,
        the_newest_entry_is_found_at_any_length,
    }
    entries {
        an_unreadable_entry_is_corrupt_and_names_its_key,
        no_flipped_bit_makes_a_reader_panic,
        an_entry_under_a_foreign_number_is_corrupt,
        an_entry_that_does_not_continue_the_chain_is_corrupt,
        fields_of_a_newer_server_survive_an_append,
        fields_of_a_newer_server_survive_two_appends_from_memory,
        a_record_of_a_newer_format_is_read_but_not_changed,
        a_long_entry_is_compressed_and_reads_back,
    }
    blobs {
        states_of_every_length_come_back_byte_for_byte,
        plain_bytes_come_back_byte_for_byte,
        a_body_over_the_limit_is_refused_and_leaves_nothing,
        a_body_of_exactly_the_limit_is_kept,
        a_body_that_fails_midway_leaves_nothing,
        a_put_that_is_given_up_leaves_nothing,
        what_is_no_state_is_refused_and_leaves_nothing,
        outputs_come_back_as_they_were_written,
        outputs_are_found_in_the_state_itself,
        a_missing_blob_is_corrupt_and_names_its_key,
        a_blob_is_never_written_twice,
        two_attempts_at_one_version_keep_their_own_bytes,
    }
    damage {
        a_shortened_blob_never_reads_to_its_end,
        a_flipped_bit_never_passes_both_the_reader_and_the_digest,
        a_blob_with_an_unknown_header_is_corrupt,
        trailing_bytes_never_pass_both_the_reader_and_the_digest,
        damage_is_told_before_the_last_byte,
        unreadable_outputs_are_an_error,
    }
    catalog {
        the_hint_of_the_highest_number_counts,
        a_hint_noted_again_changes_nothing,
        two_servers_see_each_others_hints,
        what_is_not_in_use_is_not_listed,
        organizations_are_listed_in_order,
        many_workspaces_are_all_listed,
    }
    tokens {
        a_token_is_made_once,
        the_same_token_made_again_is_still_ones_own,
        of_racing_creations_one_is_told_created,
        an_unknown_token_is_none,
        a_revoked_token_ends_here_at_once_and_elsewhere_within_five_seconds,
        revoking_again_changes_nothing,
        a_revocation_survives_a_read_that_began_before_it,
        an_unreadable_token_is_an_error_and_admits_nobody,
    }
    token_lists {
        an_owner_has_its_own_tokens_in_the_order_of_their_ids,
        a_revoked_token_is_listed_no_more,
        a_family_is_listed_beside_tokens,
        what_is_unreadable_hides_nothing_else,
        an_entry_that_leads_to_nothing_or_to_a_strangers_token_is_left_out,
        a_use_is_kept_to_the_hour,
        a_later_hour_is_never_put_back,
        a_use_noted_after_a_revocation_never_undoes_it,
        limits_of_a_token_come_back,
    }
    refreshes {
        a_refresh_token_is_used_once_whatever_server_it_comes_to,
        of_racing_uses_exactly_one_is_now_and_all_learn_the_same_successor,
        uses_of_one_family_are_not_those_of_another,
        an_unreadable_use_is_an_error_and_gives_no_successor,
    }
    sweeps {
        what_expired_more_than_a_day_ago_is_gone_with_everything_of_it,
        what_is_younger_or_never_expires_is_kept,
        a_revoked_token_without_an_end_stays_revoked,
        a_family_ends_with_its_newest_refresh_token,
        a_use_is_remembered_as_long_as_what_was_used_could_come_again,
        what_was_removed_is_unknown_everywhere_and_its_id_is_free,
        servers_that_sweep_together_remove_everything,
        what_is_unreadable_stops_no_sweep,
    }
    versions {
        a_proposal_reads_back_until_its_bytes_come,
        remembering_a_version_twice_is_fine,
        two_servers_share_one_history,
        an_absent_version_is_none,
    }
    late_replies {
        a_read_that_a_revocation_overtook_is_not_remembered,
        an_answer_is_as_old_as_its_question,
        the_newest_of_many_entries_is_found_in_few_reads,
    }
    probes {
        a_good_store_passes_and_keeps_nothing_but_its_layout,
        a_clock_that_is_far_away_is_told,
    }
    lost_replies {
        an_append_whose_reply_was_lost_is_ours,
        an_append_whose_reply_was_lost_and_that_cannot_be_read_is_unknown_then_ours,
        an_append_that_never_landed_is_unknown_and_lands_when_tried_again,
        a_token_whose_reply_was_lost_is_created,
        a_use_of_a_refresh_token_whose_reply_was_lost_is_now,
        a_use_of_a_refresh_token_that_may_have_landed_gives_no_successor,
        a_blob_whose_reply_was_lost_is_kept,
        a_store_that_never_answers_is_unavailable_in_the_end,
    }
}
