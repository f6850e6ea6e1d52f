-- The tables of taskservice on MySQL 8, and on MariaDB 10.11 or newer:
--
--     mariadb DATABASE < schema.sql
--
-- The service makes them by itself at its first start. This file is for those who want to
-- read them, or to create them under another account than the service's.
--
-- Times are UTC: a session that writes here sets time_zone = '+00:00' first, since the
-- defaults of the time columns follow the session's zone.
-- Ids are case-sensitive, as the names of the files they come from: `Report` and `report`
-- are two tasks. Hence the binary collation of every id column.

SET NAMES utf8mb4;

-- The effective tasks: what stands here is what runs.
CREATE TABLE `task_manage` (
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT '任务ID',
  `name` varchar(100) NOT NULL COMMENT '任务名称',
  `task_type` varchar(50) NOT NULL COMMENT '任务类型',
  `status` varchar(20) NOT NULL DEFAULT 'pending' COMMENT '任务状态：pending/running/paused/completed/failed',
  `trigger_type` varchar(20) NOT NULL COMMENT '触发器类型：date/interval/cron',
  `trigger_args` json DEFAULT NULL COMMENT '触发器参数，JSON格式',
  `func_path` varchar(255) NOT NULL COMMENT '执行函数路径',
  `func_args` json DEFAULT NULL COMMENT '函数参数，JSON格式',
  `next_run_time` datetime(6) DEFAULT NULL COMMENT '下次运行时间',
  `max_instances` int DEFAULT 1 COMMENT '最大实例数',
  `description` text COMMENT '任务描述',
  `create_time` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) COMMENT '创建时间',
  `update_time` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6) COMMENT '更新时间',
  -- A list of words.
  `tags` json DEFAULT NULL,
  `paused` tinyint(1) NOT NULL DEFAULT 0,
  -- Seconds that a fire may be late and still run, null for however late.
  `misfire_grace_time` double DEFAULT 3600,
  -- Whether several fires that are late at once run once.
  `coalesce` tinyint(1) NOT NULL DEFAULT 1,
  -- Seconds after which an execution is stopped, null for never.
  `timeout` double DEFAULT NULL,
  -- An object with max, delay, backoff and max_delay.
  `retries` json DEFAULT NULL,
  -- Whether an execution that died with its process is run again.
  `recover` tinyint(1) NOT NULL DEFAULT 0,
  -- local, process or celery, null for the service's default.
  `executor` varchar(20) DEFAULT NULL,
  -- file or api: who declares the task.
  `source` varchar(10) NOT NULL DEFAULT 'api',
  -- in_sync, overridden or conflict.
  `drift` varchar(20) NOT NULL DEFAULT 'in_sync',
  -- The names of the fields that the API overrides.
  `overridden` json DEFAULT NULL,
  -- Stands for the definition and its overrides.
  `etag` varchar(32) NOT NULL DEFAULT '',
  -- The moment from which an interval without a start counts.
  `anchor` datetime(6) DEFAULT NULL,
  -- How the last execution ended.
  `last_outcome` varchar(20) DEFAULT NULL,
  -- Since when the task has had no declaration.
  `retired_at` datetime(6) DEFAULT NULL,
  -- When the definition or the overrides were written last.
  `changed_at` datetime(6) DEFAULT NULL,
  -- Since when the row is no task any more: it is kept for what is left of its log.
  `deleted_at` datetime(6) DEFAULT NULL,
  -- Executions that began before are no longer the task's, and are deleted a batch at a time.
  `purge_before` datetime(6) DEFAULT NULL,
  -- Where executions on celery are sent, null for the service's default.
  `queue` varchar(100) DEFAULT NULL,
  -- A channel's name or a list of rules, null for the service's default.
  `notify` json DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_status` (`status`),
  KEY `idx_next_run_time` (`next_run_time`),
  KEY `idx_retired_at` (`retired_at`),
  KEY `idx_retired_id` (`retired_at`, `id`),
  KEY `idx_changed_at` (`changed_at`),
  KEY `idx_deleted_at` (`deleted_at`),
  KEY `idx_purge_before` (`purge_before`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='定时任务管理表';

-- The executions, a row for each attempt.
CREATE TABLE `task_execution_log` (
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT '日志ID',
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT '任务ID',
  `start_time` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) COMMENT '开始时间',
  `end_time` datetime(6) DEFAULT NULL COMMENT '结束时间',
  `status` varchar(20) NOT NULL DEFAULT 'running' COMMENT '状态：running/completed/failed',
  `result` text COMMENT '执行结果',
  `error` text COMMENT '错误信息',
  -- The fire that this execution is for, null when it was run by hand.
  `scheduled_time` datetime(6) DEFAULT NULL,
  -- From 1.
  `attempt` int NOT NULL DEFAULT 1,
  -- Fires that are counted in this row beside its own.
  `folded` int NOT NULL DEFAULT 0,
  -- schedule, or who asked for it.
  `triggered_by` varchar(100) NOT NULL DEFAULT 'schedule',
  -- What the function printed and logged.
  `output` mediumtext,
  -- The process that occupies an instance of the task with this execution.
  `owner` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  -- The arguments that were given for this run only.
  `func_args` json DEFAULT NULL,
  -- Whether it stands in for an attempt that died with its process.
  `recovered` tinyint(1) NOT NULL DEFAULT 0,
  -- The word that the error begins with: raised, timed out, interrupted, skipped, missed, cancelled,
  -- unsent, unstarted.
  `error_kind` varchar(20) DEFAULT NULL,
  -- Of an execution that is sent to a worker: where to, since when, and who took it.
  `queue` varchar(100) DEFAULT NULL,
  `queued_at` datetime(6) DEFAULT NULL,
  `worker` varchar(255) DEFAULT NULL,
  -- When it times out, by the database's clock: its worker may not be able to say so.
  `deadline` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  -- A fire runs once, however many processes there are.
  UNIQUE KEY `uq_fire` (`task_id`, `scheduled_time`, `attempt`),
  KEY `idx_task_id` (`task_id`),
  KEY `idx_start_time` (`start_time`),
  KEY `idx_status` (`status`),
  KEY `idx_task_start` (`task_id`, `start_time`),
  KEY `idx_task_status_start` (`task_id`, `status`, `start_time`),
  KEY `idx_owner` (`owner`, `task_id`),
  CONSTRAINT `fk_task_execution_log_task_id` FOREIGN KEY (`task_id`) REFERENCES `task_manage` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='任务执行日志表';

CREATE TABLE `task_retry` (
  `execution_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `due` datetime(6) NOT NULL,
  PRIMARY KEY (`execution_id`),
  CONSTRAINT `fk_task_retry_execution_id` FOREIGN KEY (`execution_id`) REFERENCES `task_execution_log` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='Failed executions that will be tried again';

-- No foreign keys to task_manage in the next two: both outlive a task that was deleted.
CREATE TABLE `task_declaration` (
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- file or api.
  `source` varchar(10) NOT NULL,
  -- The fields as they were written, without defaults.
  `fields` json NOT NULL,
  -- SHA-256 of the fields as JSON with sorted keys.
  `digest` varchar(64) NOT NULL,
  -- Where it is written, from the tasks folder, and in which commit.
  `path` varchar(500) DEFAULT NULL,
  `line` int DEFAULT NULL,
  `revision` varchar(64) DEFAULT NULL,
  `set_at` datetime(6) NOT NULL,
  `set_by` varchar(100) DEFAULT NULL,
  -- Names its file's bytes and all that they declare: as long as both are so, it is not parsed.
  `seal` varchar(32) DEFAULT NULL,
  PRIMARY KEY (`task_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='What a file, or the API at its creation, says of a task';

CREATE TABLE `task_override` (
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- A field's name, `trigger`, `func_args.KEY`, or `deleted`.
  `field` varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- Each an object with the key value, or without it where the field is absent.
  `value` json NOT NULL,
  `declared_when_set` json NOT NULL,
  `set_at` datetime(6) NOT NULL,
  `set_by` varchar(100) NOT NULL,
  `reason` text,
  -- When it ends by itself.
  `until_time` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`task_id`, `field`),
  KEY `idx_until_time` (`until_time`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='What the API changed of a task, field by field';

CREATE TABLE `task_owner` (
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `name` varchar(255) NOT NULL,
  `lease_until` datetime(6) NOT NULL,
  -- The connection that holds the scheduler's lock for it; null: it doesn't schedule.
  `lock_id` bigint DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='The processes that execute tasks, and until when each is believed to live';

CREATE TABLE `task_worker` (
  -- An owner's. Unlike the owner's row, which is the fence, this one is only to be shown.
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `name` varchar(255) NOT NULL,
  -- service or worker.
  `kind` varchar(10) NOT NULL,
  -- Those that a worker serves.
  `queues` json DEFAULT NULL,
  `concurrency` int DEFAULT NULL,
  `since` datetime(6) NOT NULL,
  `heard` datetime(6) NOT NULL,
  `gone` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='Who executes: services and workers, the dead ones for a minute more';

CREATE TABLE `task_notice` (
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- The owner that it is for; null: whoever schedules.
  `recipient` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `kind` varchar(20) NOT NULL,
  -- The task or the execution that it is about.
  `subject` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `said_by` varchar(100) NOT NULL,
  -- Of what somebody asks for: by what way, and why.
  `via` varchar(10) DEFAULT NULL,
  `reason` text,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='What processes ask of each other; each is deleted when it is done';

CREATE TABLE `service_state` (
  `name` varchar(50) NOT NULL,
  `value` json NOT NULL,
  PRIMARY KEY (`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='What the service remembers of itself over a restart';

CREATE TABLE `task_event` (
  -- In the order of time.
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `at` datetime(6) NOT NULL,
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `action` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `done_by` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- api, console, file or service.
  `via` varchar(10) NOT NULL,
  `reason` text,
  -- Each an object with the keys field, old and new.
  `changes` json DEFAULT NULL,
  -- Of what a file does: where it stands, and the commit.
  `path` varchar(500) DEFAULT NULL,
  `line` int DEFAULT NULL,
  `revision` varchar(64) DEFAULT NULL,
  `author` varchar(200) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_event_task` (`task_id`, `id`),
  KEY `idx_event_by` (`done_by`, `id`),
  KEY `idx_event_action` (`action`, `id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='Who did what, when and why; only its age deletes a row';

CREATE TABLE `api_token` (
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `name` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `role` varchar(20) NOT NULL,
  -- A list of words, of which a task must bear one; null: all tasks.
  `tags` json DEFAULT NULL,
  -- The SHA-256 of the token, in hexadecimal digits.
  `token_hash` varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `created_at` datetime(6) NOT NULL,
  `created_by` varchar(100) NOT NULL,
  `expires_at` datetime(6) DEFAULT NULL,
  `last_used_at` datetime(6) DEFAULT NULL,
  `revoked_at` datetime(6) DEFAULT NULL,
  -- 1 until it is revoked, then null: so one name may stand again.
  `lives` tinyint(1) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq_token_hash` (`token_hash`),
  UNIQUE KEY `uq_living_name` (`name`, `lives`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='Tokens that were made by command, each as its SHA-256';

CREATE TABLE `task_signal` (
  -- Those of one task are in the order in which they were committed.
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `execution_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- failed, completed, missed, skipped, late or long.
  `what` varchar(20) NOT NULL,
  -- The limit that will be over.
  `seconds` double DEFAULT NULL,
  -- When to look whether it is; null: at once.
  `due` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_signal_due` (`due`, `id`),
  KEY `idx_signal_execution` (`execution_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='What was seen of executions, until rules have judged it';

CREATE TABLE `task_alert` (
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- A channel's name, and the rule's number among those of that one.
  `rule` varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- In a row, and when the first was.
  `failures` int NOT NULL,
  `since` datetime(6) DEFAULT NULL,
  -- The id of the message that told of them.
  `incident` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `remind_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`task_id`, `rule`),
  KEY `idx_alert_remind_at` (`remind_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='Where the rules of tasks that fail stand';

CREATE TABLE `task_silence` (
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `reason` text NOT NULL,
  -- When it ends by itself, if the task does not recover before.
  `until_time` datetime(6) DEFAULT NULL,
  `set_at` datetime(6) NOT NULL,
  `set_by` varchar(100) NOT NULL,
  PRIMARY KEY (`task_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='Tasks of which nobody is told for a while';

CREATE TABLE `task_message` (
  -- Stays the same however often it is sent.
  `id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `channel` varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  `task_id` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  `kind` varchar(20) NOT NULL,
  `subject` varchar(300) NOT NULL,
  `body` text NOT NULL,
  -- What a webhook is sent of it.
  `data` json DEFAULT NULL,
  `created_at` datetime(6) NOT NULL,
  -- waiting, sent, gathered or undeliverable.
  `state` varchar(15) NOT NULL,
  -- When it may be sent, or sent again.
  `due` datetime(6) NOT NULL,
  `attempts` int NOT NULL,
  `tried_at` datetime(6) DEFAULT NULL,
  `sent_at` datetime(6) DEFAULT NULL,
  `answer` varchar(200) DEFAULT NULL,
  -- The message that tells of it, among others.
  `gathered_in` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `idx_message_state` (`state`, `channel`, `due`),
  KEY `idx_message_tried_at` (`channel`, `tried_at`),
  KEY `idx_message_task` (`task_id`, `created_at`),
  KEY `idx_message_created_at` (`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='What people are told, and what became of it';

-- Which migration these tables stand for: the service takes them as they are.
CREATE TABLE `alembic_version` (
  `version_num` varchar(32) NOT NULL,
  PRIMARY KEY (`version_num`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

INSERT INTO `alembic_version` (`version_num`) VALUES ('0014');
