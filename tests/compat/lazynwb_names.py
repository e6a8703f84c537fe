"""What lazynwb 1.0.0 offers: functions with their arguments, members of classes, and other names."""

from __future__ import annotations

SIGNATURES = {
    "clear_attrs_cache": "nwb_path=None",
    "clear_cache": "",
    "consolidate_attrs": "nwb_paths, internal_path, exclude_private=True",
    "convert_nwb_tables": (
        "nwb_sources, output_dir, *, output_format='parquet', full_path=False, min_file_count=1, "
        "exclude_array_columns=False, ignore_errors=True, disable_progress=False, session_subdirs=False, "
        "**write_kwargs "
    ),
    "from_dandi_asset": "dandiset_id, asset_id, version=None",
    "from_pathlike": "pathlike, **fsspec_storage_options",
    "get": (
        "nwb_data_sources, search_term, *, as_df=False, exact_path=False, include_column_names=None, "
        "exclude_column_names=None, exclude_array_columns=True, use_process_pool=False, "
        "disable_progress=False, raise_on_missing=False, ignore_errors=False, as_polars=None "
    ),
    "get_attrs": "nwb_path, internal_path, exclude_private=True, exclude_empty_fields=False",
    "get_dandi_sources": (
        "dandiset_id, version=None, order='path', *, asset_ids=None, asset_filter=None, max_assets=None "
    ),
    "get_df": (
        "nwb_data_sources, search_term, exact_path=False, include_column_names=None, "
        "exclude_column_names=None, nwb_path_to_row_indices=None, exclude_array_columns=True, "
        "parallel=True, use_process_pool=False, disable_progress=False, raise_on_missing=False, "
        "ignore_errors=False, low_memory=False, as_polars=None "
    ),
    "get_internal_path_info": (
        "nwb_path, include_child_datasets=False, include_table_columns=False, include_metadata=False, "
        "include_specifications=False, parents=False "
    ),
    "get_internal_paths": (
        "nwb_path, include_child_datasets=False, include_table_columns=False, include_metadata=False, "
        "include_specifications=False, parents=False "
    ),
    "get_metadata_df": "nwb_path_or_paths, disable_progress=False, as_polars=None",
    "get_processpool_executor": "",
    "get_spike_times_in_intervals": (
        "filtered_units_df, intervals, intervals_df='/intervals/trials', intervals_df_filter=None, "
        "apply_obs_intervals=True, as_counts=False, keep_only_necessary_cols=False, "
        "use_process_pool=True, disable_progress=False, as_polars=None, align_times=False "
    ),
    "get_sql_context": (
        "nwb_sources, *, full_path=False, min_file_count=1, exclude_array_columns=False, "
        "exclude_timeseries=False, ignore_errors=True, disable_progress=False, infer_schema_length=None, "
        "table_names=None, rename_general_metadata=True, **sqlcontext_kwargs "
    ),
    "get_sub_attrs": "nwb_path, parent_path='/', exclude_private=True, exclude_empty=True",
    "get_table_column_metadata": "file_path, table_path, use_thread_pool=False, skip_references=True",
    "get_table_length_from_metadata": "columns",
    "get_table_schema": (
        "file_paths, table_path, first_n_files_to_infer_schema=None, exclude_array_columns=False, "
        "exclude_internal_columns=False, raise_on_missing=False "
    ),
    "get_table_schema_from_metadata": "columns",
    "get_threadpool_executor": "",
    "get_timeseries": "nwb_path, search_term=None, exact_path=False, match_all=False",
    "insert_is_observed": "intervals_frame, units_frame=None, col_name='is_observed'",
    "is_group": "accessor",
    "load_dotenv": "",
    "merge_array_column": "df, column_name, missing_ok=True",
    "normalize_internal_file_path": "path",
    "read_nwb": (
        "source, table_path, raise_on_missing=False, ignore_errors=False, infer_schema_length=None, "
        "exclude_array_columns=False, low_memory=False, single_file_batches=False, schema=None, "
        "schema_overrides=None, disable_progress=False "
    ),
    "scan_nwb": (
        "source, table_path, raise_on_missing=False, ignore_errors=False, infer_schema_length=None, "
        "exclude_array_columns=False, low_memory=False, single_file_batches=False, schema=None, "
        "schema_overrides=None, disable_progress=False "
    ),
    "to_dict": "obj",
}
"""Function -> arguments with their defaults; those with a leading underscore are left out."""

MEMBERS = {
    "FileAccessor": "HDMFBackend get get_hdmf_backend",
    "LazyNWB": (
        "data_collection describe electrodes epochs experiment_description experimenter get get_df "
        "get_timeseries identifier institution keywords lab notes pharmacology related_publications "
        "session_description session_id session_start_time source_script source_script_file_name subject "
        "surgery trials units virus "
    ),
    "Subject": ("age age__reference date_of_birth description genotype sex species strain subject_id weight "),
    "TimeSeries": (
        "conversion data description electrodes offset rate resolution starting_time timestamps timestamps_unit unit "
    ),
}
"""Class -> its public members."""

CONSTANTS = {
    "NWB_PATH_COLUMN_NAME": "_nwb_path",
    "TABLE_PATH_COLUMN_NAME": "_table_path",
    "TABLE_INDEX_COLUMN_NAME": "_table_index",
    "INTERVALS_TABLE_INDEX_COLUMN_NAME": "_intervals_table_index",
    "UNITS_TABLE_INDEX_COLUMN_NAME": "_units_table_index",
    "INTERNAL_COLUMN_NAMES": {"_nwb_path", "_table_path", "_table_index"},
    "TABLE_SHORTCUTS": {
        "trials": "intervals/trials",
        "epochs": "intervals/epochs",
        "electrodes": "general/extracellular_ephys/electrodes",
        "optophysiology": "general/optophysiology",
        "session": "general",
    },
}
"""Name -> value."""

OTHERS = ("Config", "FrameType", "NWBComponent", "OutputFormat", "RawTableColumnMetadata", "config", "exceptions")
"""Further names."""
