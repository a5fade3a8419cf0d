//! The real Terraform against the real server: what a team does on its first day and on its worst.
//!
//! Each promise is a function over a [`setup::Setup`]. `promises!` holds all of them with two releases of Terraform on
//! every storage. `terraform_data` is built in, so no registry is needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a broken expectation must end the test, loudly, at the place where it broke"
)]

mod big_state;
mod config;
mod example;
mod life;
mod locks;
mod login;
mod login_at_a_provider;
mod migration;
mod outputs;
mod projects;
mod recovery;
mod remote_backend;
mod remote_state;
mod resources;
mod restart;
mod rollback;
mod setup;
mod snapshots;
mod state;
mod tag_maps;
mod workspaces;

use opentaco_tests::server::Storage;
use opentaco_tests::terraform::Release;

use crate::setup::Setup;

/// One test per promise, Terraform and storage.
macro_rules! promises {
    ($($all:tt)+) => {
        mod terraform_1_11 {
            crate::on_every_storage! { V1_11 $($all)+ }
        }

        mod terraform_1_15 {
            crate::on_every_storage! { V1_15 $($all)+ }
        }
    };
}

/// The storages, a line for each.
macro_rules! on_every_storage {
    ($release:ident $($all:tt)+) => {
        crate::tests! { local $release Local $($all)+ }
        crate::tests! { s3 $release S3 $($all)+ }
    };
}

/// A module of tests, one per promise.
macro_rules! tests {
    ($name:ident $release:ident $storage:ident $($group:ident { $($promise:ident),+ $(,)? })+) => {
        mod $name {
            $(mod $group {
                $(#[tokio::test]
                async fn $promise() {
                    let setup = crate::Setup::find(crate::Release::$release, crate::Storage::$storage);
                    if let Some(setup) = setup {
                        crate::$group::$promise(&setup).await;
                    }
                })+
            })+
        }
    };
}

use {on_every_storage, tests};

promises! {
    life {
        a_workspace_by_name_lives_from_init_to_destroy_over_https,
        a_workspace_by_name_lives_from_init_to_destroy_over_http,
        a_workspace_by_tags_lives_from_init_to_destroy_over_https,
        a_workspace_by_tags_lives_from_init_to_destroy_over_http,
        an_organization_comes_into_being_on_first_use,
        the_same_name_in_two_organizations_is_two_workspaces,
    }
    locks {
        a_second_apply_is_refused_while_the_first_runs,
        a_patient_apply_waits_for_the_lock_and_goes_on,
        another_workspace_is_not_blocked,
        the_lock_of_a_killed_apply_is_freed_by_force_unlock,
        force_unlock_of_a_free_workspace_says_so,
        a_lock_outlives_a_server_that_was_killed,
        an_apply_without_the_lock_is_refused_and_what_it_made_is_kept_in_a_file,
    }
    login {
        the_one_time_code_logs_terraform_in_over_https,
        the_one_time_code_logs_terraform_in_over_http,
        a_denied_login_ends_at_once_and_stores_nothing,
        two_logins_get_two_tokens,
        a_login_replaces_a_token_that_no_longer_works,
        without_a_token_terraform_is_told_to_log_in,
        logout_forgets_the_token,
    }
    login_at_a_provider {
        a_person_of_the_provider_logs_terraform_in_over_https,
        a_person_of_the_provider_logs_terraform_in_over_http,
        a_provider_that_comes_up_during_the_login_is_no_reason_to_begin_anew,
        who_cancels_at_the_provider_ends_the_login_at_once_and_stores_nothing,
        who_denies_after_the_provider_ends_the_login_at_once_and_stores_nothing,
        who_may_not_log_in_is_told_what_to_ask_for_and_nothing_is_stored,
        an_administrator_works_and_somebody_else_is_refused,
    }
    restart {
        a_restart_between_init_and_apply_goes_unnoticed,
        what_was_applied_outlives_a_kill,
    }
    example {
        the_tour_in_readme_prints_what_readme_says,
    }
    workspaces {
        workspaces_are_made_listed_chosen_and_deleted,
        a_workspace_with_resources_is_deleted_only_by_force,
        each_workspace_has_a_state_of_its_own,
        only_workspaces_with_every_tag_are_listed,
    }
    tag_maps {
        a_map_of_tags_makes_lists_and_chooses_workspaces,
        the_tags_of_a_map_are_bound_to_the_workspace,
        only_workspaces_with_exactly_these_values_are_listed,
        the_environment_names_the_workspace_where_nobody_can_be_asked,
        names_of_tags_may_hold_a_colon,
        a_key_with_a_value_answers_to_its_name_alone,
        forty_five_workspaces_are_all_listed,
    }
    projects {
        a_project_comes_into_being_with_its_first_workspace,
        a_project_of_the_same_name_is_found_again,
        only_the_workspaces_of_the_project_are_listed,
    }
    remote_backend {
        a_workspace_by_name_lives_from_init_to_destroy,
        both_blocks_see_the_same_workspace,
        state_is_pulled_pushed_moved_and_removed,
        a_second_apply_is_refused_until_the_lock_is_forced_open,
        workspaces_by_prefix_are_made_listed_chosen_and_deleted,
        the_lock_of_one_workspace_of_a_prefix_is_forced_open_by_its_full_name,
        a_prefix_may_hold_digits_and_dashes_and_finds_nothing_else,
        the_environment_chooses_among_the_workspaces_of_a_prefix,
    }
    remote_state {
        outputs_of_every_shape_are_read_from_another_workspace,
        a_consumer_sees_what_changed_at_its_next_plan,
        an_unknown_workspace_is_named_in_the_refusal,
    }
    migration {
        a_local_state_moves_into_a_cloud_block,
        a_local_state_moves_into_the_remote_backend,
        a_local_state_that_is_pushed_is_not_built_again,
        a_local_state_that_is_uploaded_keeps_serial_and_lineage,
        a_refused_copy_leaves_both_sides_as_they_were,
        many_local_workspaces_move_into_tagged_ones_by_a_pattern,
        many_local_workspaces_move_under_a_prefix,
        the_remote_backend_becomes_a_cloud_block_of_the_same_workspace,
        the_remote_backend_becomes_a_cloud_block_of_another_workspace,
        workspaces_of_a_prefix_become_tagged_ones_under_their_full_names,
        the_remote_backend_moves_from_one_workspace_to_another,
        the_way_back_to_a_local_file_keeps_serial_and_lineage,
        a_cloud_block_is_left_by_pulling_the_state,
    }
    state {
        a_pulled_state_can_be_edited_and_pushed_back,
        a_push_of_an_older_serial_is_refused_and_changes_nothing,
        a_push_of_another_lineage_is_refused,
        resources_are_renamed_and_forgotten_without_being_touched,
        a_state_of_a_newer_terraform_is_kept_and_says_who_wrote_it,
    }
    big_state {
        a_state_of_20_megabytes_is_pushed_pulled_planned_and_applied,
    }
    snapshots {
        what_a_long_apply_has_finished_is_kept_before_it_ends_even_if_it_is_killed,
    }
    resources {
        an_imported_resource_is_kept_and_nothing_is_left_to_do,
        an_import_block_takes_a_resource_in,
        a_tainted_resource_is_made_again_and_an_untainted_one_is_not,
        a_resource_is_replaced_when_asked_for,
        a_moved_block_renames_without_building_anew,
        a_removed_block_forgets_without_destroying,
        a_saved_plan_is_applied_once,
    }
    recovery {
        an_apply_that_lost_its_lock_to_somebody_is_pushed_when_they_are_gone,
        an_apply_whose_lock_was_forced_open_is_pushed_at_once,
        what_somebody_wrote_meanwhile_is_not_overwritten_by_the_file,
        a_server_that_is_killed_and_comes_back_is_waited_for,
    }
    rollback {
        a_rolled_back_state_has_a_new_serial_and_the_next_apply_works,
    }
    outputs {
        outputs_of_every_shape_arrive_unchanged,
        a_sensitive_output_is_masked_in_the_list_and_given_when_asked_for,
        outputs_before_the_first_apply_are_none_and_no_error,
        a_hundred_and_fifty_outputs_of_every_type_are_what_was_applied,
    }
}
